"""What the real client makes of each kind of server: its list, its errors, its answers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest

from shared.domain import DiscoveryStatus
from shared.errors import UpstreamFailure
from shared.telemetry import Secret
from shared.upstream import Bounds, DiscoveryFailure, ModelList, Target, UpstreamClient
from shared.upstream.endpoint import resolve
from tests import simulators as sims
from tests.contract.upstream.calls import client, run
from tests.simulators import Mode, Running, Simulator, running

Make = Callable[..., Simulator]
ENOUGH = Bounds(connect=5, first_byte=10, idle=10, total=10)
KEY = "sk-right-0123456789"
WRONG = "sk-wrong-0123456789"
EVERY: list[Make] = [
    *(sims.vllm, sims.vllm_old, sims.ollama, sims.tgi, sims.together, sims.groq, sims.openrouter),
    *(sims.llama_cpp, sims.llama_cpp_old, sims.llama_cpp_router, sims.lm_studio),
    *(
        sims.lm_studio_loaded,
        sims.litellm,
        sims.no_models_route,
        sims.CountingSimulator,
        sims.gemini,
    ),
]
each_server = pytest.mark.parametrize("make", EVERY, ids=lambda make: make.__name__)

CONTEXT: Mapping[Make, int] = {
    sims.vllm: 131_072,
    sims.vllm_old: 131_072,
    sims.llama_cpp: 2048,
    sims.llama_cpp_old: 2048,
    sims.openrouter: 200_000,
    sims.together: 32_768,
    sims.groq: 131_072,
}
# Mode → verdict on the list, code of a chat.
WRONGS = {
    Mode.HTML: ("invalid_response", "upstream_invalid_answer"),
    Mode.ROUTE_MISSING: ("no_models_route", "upstream_route_missing"),
    Mode.LOADING: ("loading", "upstream_loading"),
    Mode.RATE_LIMITED: ("rate_limited", "upstream_rate_limited"),
    Mode.UNPAID: ("invalid_response", "upstream_refused"),
    Mode.SERVER_ERROR: ("server_error", "upstream_server_error"),
    Mode.ERROR_IN_200: ("invalid_response", "upstream_refused"),
}
OTHERWISE = {
    # Both answer paths that they do not have with 200.
    (sims.lm_studio, Mode.ROUTE_MISSING): ("invalid_response", "upstream_refused"),
    (sims.lm_studio_loaded, Mode.ROUTE_MISSING): ("invalid_response", "upstream_refused"),
}
REFUSED = ("auth_failed", "upstream_authentication_failed")
LISTS_TO_ALL = ("ok", "upstream_authentication_failed")
# What a wrong key leads to; the rest is REFUSED.
WRONG_KEY = {
    **dict.fromkeys((sims.ollama, sims.tgi, sims.llama_cpp_old, sims.openrouter), LISTS_TO_ALL),
    sims.no_models_route: ("no_models_route", "upstream_authentication_failed"),
    **dict.fromkeys((sims.litellm, sims.gemini), ("invalid_response", "upstream_refused")),
}
NO_KEY = {**WRONG_KEY, sims.litellm: ("server_error", "upstream_server_error")}
ANSWERS_FOR_ANY_MODEL = {
    *(sims.tgi, sims.llama_cpp, sims.llama_cpp_old, sims.CountingSimulator),
}


@contextmanager
def server(make: Make, **options: Any) -> Iterator[tuple[Running, Callable[..., Target]]]:
    """The server, and how to be a provider of it that holds some key."""
    with running(make(**options)) as sim:
        where = resolve(sim.endpoint)

        def target(key: str | None = None) -> Target:
            secret = Secret(key) if key is not None else None
            return Target(where.chat_url, where.models_url, secret)

        yield sim, target


async def verdict(calling: UpstreamClient, at: Target) -> tuple[str, ModelList | DiscoveryFailure]:
    """The verdict on the model list, and what it was made from."""
    try:
        return DiscoveryStatus.OK, await calling.list_models(at, ENOUGH)
    except DiscoveryFailure as failure:
        _is_presentable(failure.message)
        return failure.status, failure


async def chat(calling: UpstreamClient, at: Target, model: str) -> UpstreamFailure | str:
    """The failure of a chat, or the text of its answer."""
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": "Hello"}]})
    try:
        answer = await calling.chat(at, body.encode(), ENOUGH)
    except UpstreamFailure as failure:
        _is_presentable(failure.message)
        return failure
    return str(answer.body["choices"][0]["message"]["content"])


async def both(calling: UpstreamClient, sim: Running, at: Target) -> tuple[str, str]:
    """The verdict on the list, and the code of a chat ("" when it was answered)."""
    status, _ = await verdict(calling, at)
    ended = await chat(calling, at, sim.simulator.models[0])
    return status, ended.code if isinstance(ended, UpstreamFailure) else ""


def _is_presentable(message: str) -> None:
    assert len(message.split()) >= 5, message
    assert "<" not in message, message
    assert KEY not in message
    assert WRONG not in message


@each_server
def test_its_list_is_read_with_context_lengths_and_it_answers(make: Make) -> None:
    async def main() -> None:
        with server(make, key=KEY) as (sim, target):
            async with client() as calling:
                status, found = await verdict(calling, target(KEY))
                if make is sims.no_models_route:
                    assert status == "no_models_route"
                else:
                    assert isinstance(found, ModelList)
                    wanted = {id_: CONTEXT.get(make) for id_ in sim.simulator.models}
                    assert {m.id: m.context_length for m in found.models} == wanted
                    assert found.dropped == 0
                for model in sim.simulator.models:
                    text = await chat(calling, target(KEY), model)
                    assert isinstance(text, str), text
                    assert "answer" in text

    run(main())


@each_server
def test_what_is_wrong_with_it_gets_its_verdict_and_its_code(make: Make) -> None:
    async def main() -> None:
        with server(make) as (sim, target):
            async with client() as calling:
                for mode, usual in WRONGS.items():
                    sim.set_mode(mode)
                    status, code = OTHERWISE.get((make, mode), usual)
                    if make is sims.no_models_route:
                        status = "no_models_route"
                    assert (mode, *await both(calling, sim, target())) == (mode, status, code)

    run(main())


@each_server
def test_a_wrong_key_and_no_key_are_told_as_this_server_tells_them(make: Make) -> None:
    async def main() -> None:
        with server(make, key=KEY) as (sim, target):
            async with client() as calling:
                told = await both(calling, sim, target(WRONG))
                assert told == WRONG_KEY.get(make, REFUSED)
                assert await both(calling, sim, target(None)) == NO_KEY.get(make, REFUSED)

    run(main())


@each_server
def test_a_model_that_it_does_not_have_is_refused_and_no_missing_route(make: Make) -> None:
    async def main() -> None:
        with server(make) as (_, target):
            async with client() as calling:
                ended = await chat(calling, target(), "vendor/no-such-model")
                if make in ANSWERS_FOR_ANY_MODEL:
                    assert isinstance(ended, str)
                else:
                    assert isinstance(ended, UpstreamFailure)
                    assert (ended.code, ended.may_have_been_billed) == ("upstream_refused", False)

    run(main())


def test_the_words_of_an_error_inside_a_list_are_told() -> None:
    async def main() -> None:
        with server(sims.gemini, key=KEY) as (sim, target):
            async with client() as calling:
                ended = await chat(calling, target(WRONG), sim.simulator.models[0])
                assert isinstance(ended, UpstreamFailure)
                assert "API key not valid. Please pass a valid API key." in ended.message

    run(main())


def test_an_ollama_without_models_has_an_empty_list() -> None:
    async def main() -> None:
        with server(sims.ollama, models=[]) as (_, target):
            async with client() as calling:
                status, found = await verdict(calling, target())
                assert (status, found) == ("ok", ModelList((), 0))

    run(main())


def test_openrouters_thousands_are_read_and_its_error_inside_a_200_may_have_cost() -> None:
    async def main() -> None:
        ids = [f"vendor/model-{number}" for number in range(3000)]
        with server(sims.openrouter, models=ids) as (sim, target):
            async with client() as calling:
                _, found = await verdict(calling, target())
                assert isinstance(found, ModelList)
                assert [model.id for model in found.models] == ids
                sim.set_mode(Mode.ERROR_IN_200, "chat")
                ended = await chat(calling, target(), ids[0])
                assert isinstance(ended, UpstreamFailure)
                assert ended.may_have_been_billed

    run(main())


@pytest.mark.parametrize(("header", "seconds"), [("7", 7.0), (None, None)])
def test_a_rate_limit_names_a_time_only_where_the_server_did(
    header: str | None, seconds: float | None
) -> None:
    async def main() -> None:
        with server(sims.openrouter) as (sim, target):
            sim.simulator.retry_after = header
            sim.set_mode(Mode.RATE_LIMITED)
            async with client() as calling:
                _, failure = await verdict(calling, target())
                assert isinstance(failure, DiscoveryFailure)
                assert failure.retry_after == seconds

    run(main())


def test_a_router_tells_which_models_are_loaded_and_a_chat_loads_one() -> None:
    async def main() -> None:
        with server(sims.llama_cpp_router) as (sim, target):
            async with client() as calling:
                for loaded in (1, 2):
                    _, found = await verdict(calling, target())
                    assert isinstance(found, ModelList)
                    states = [model.raw["status"]["value"] for model in found.models]
                    assert states.count("loaded") == loaded
                    await chat(calling, target(), sim.simulator.models[-1])

    run(main())
