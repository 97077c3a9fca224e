"""A test of values that are not saved yet: which steps there are, and what each says."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from services.discovery_worker import advice
from services.discovery_worker.report import AFTER_FAILURE, STEPS, Wanted
from services.discovery_worker.trial import Place
from shared import errors
from shared.domain import DiscoveryStatus
from shared.errors import (
    UpstreamFailure,
    UpstreamInvalidAnswer,
    UpstreamLoading,
    UpstreamRateLimited,
    UpstreamRefused,
    UpstreamRouteMissing,
    UpstreamServerError,
    UpstreamTimeout,
)
from shared.upstream import ConnectionLost, ModelList, Obstacle, Target
from tests.unit.discovery.bench import (
    ANSWER,
    MODELS,
    NO_ROUTE,
    RIGHT,
    UNAUTHORIZED,
    Server,
    failure,
    run_test,
)

TYPED = "https://llm.test/v1"
LIST = "https://llm.test/v1/models"
OK = {"resolve": "ok", "connect": "ok", "tls": "ok", "models": "ok"}


def good(**more: Any) -> Server:
    return Server({LIST: MODELS}, **more)


def test_a_good_server_passes_every_step_that_was_asked_for() -> None:
    server = good(keyless=UNAUTHORIZED)
    tested = run_test(server, f" {TYPED} ", api_key="sk-right")
    assert tested.verdicts == {**OK, "authenticate": "ok", "chat": "skipped"}
    assert [step.name for step in tested.report.steps] == list(STEPS)
    assert tested.report.endpoint == TYPED
    assert tested.said("models") == "One model is listed."
    assert all(step.ms is not None for step in tested.report.steps[:5])
    assert tested.report.steps[5].ms is None
    assert [key for _, key, _ in server.asked] == [RIGHT, None]


def test_the_result_is_what_the_contract_says() -> None:
    document = msgspec.json.decode(run_test(good(), TYPED).report.document())
    assert set(document) == {"steps", "endpoint", "models"}
    assert set(document["steps"][0]) == {"name", "verdict", "ms", "message", "remedy"}
    assert document["models"] == [{"id": "m-1", "context_length": 4096}]


def test_progress_is_told_after_each_step_that_took_time() -> None:
    assert run_test(good(), TYPED).progress == [1, 2, 3, 4]
    # No TLS over plain HTTP, and no key to try: neither is worth a word of its own.
    plain = Server({"http://llm.test:8000/v1/models": MODELS})
    assert run_test(plain, "llm.test:8000").progress == [1, 2, 4]


def test_a_test_that_is_given_up_between_two_steps_leaves_no_connection_open() -> None:
    tested = run_test(good(), TYPED, given_up_after="connect")
    assert list(tested.verdicts) == ["resolve", "connect"]


@pytest.mark.parametrize("step", ["resolve", "connect", "tls"])
def test_what_stands_in_the_way_ends_the_test_with_a_remedy(step: str) -> None:
    server = good(in_the_way={step: Obstacle("It is in the way.", "Move it.")})
    tested = run_test(server, TYPED, api_key="sk-1", chat=True)
    after = STEPS[STEPS.index(step) + 1 :]
    assert tested.verdicts[step] == "failed"
    assert (tested.said(step), tested.remedy(step)) == ("It is in the way.", "Move it.")
    assert {tested.verdicts[name] for name in after} == {"skipped"}
    assert tested.said("chat") == AFTER_FAILURE
    assert tested.report.endpoint is None
    assert server.asked == []


def test_a_spelling_that_means_nothing_fails_the_first_step_without_any_call() -> None:
    server = good()
    tested = run_test(server, "https://user:secret-password@llm.test/v1")
    assert tested.verdicts["resolve"] == "failed"
    assert "secret-password" not in tested.said("resolve")
    assert tested.remedy("resolve")
    assert server.opened == []


def test_names_with_many_addresses_are_told_in_a_few_words() -> None:
    server = good(addresses=tuple(f"192.0.2.{n}" for n in range(7)))
    assert "192.0.2.3 and 3 more" in run_test(server, TYPED).said("resolve")


def test_tls_is_done_as_the_options_say_and_left_out_over_plain_http() -> None:
    server = good()
    options = {"verify_tls": False, "ca_certificate": "PEM"}
    tested = run_test(server, TYPED, options=options)
    assert server.secured == [("llm.test", False, "PEM")]
    assert "not checked" in tested.said("tls")
    plain = run_test(Server({"http://llm.test:8000/v1/models": MODELS}), "llm.test:8000")
    assert plain.verdicts["tls"] == "skipped"


@pytest.mark.parametrize(
    ("typed", "right", "save"),
    [
        ("https://llm.test/api", "https://llm.test/api/v1/models", "https://llm.test/api/v1"),
        ("https://llm.test/chat", "https://llm.test/v1/models", "https://llm.test/v1"),
        ("https://llm.test/v2", "https://llm.test/v1/models", "https://llm.test/v1"),
        ("https://llm.test/a?b=c", "https://llm.test/a/v1/models?b=c", "https://llm.test/a/v1?b=c"),
    ],
)
@pytest.mark.parametrize(
    "here",
    [NO_ROUTE, failure(DiscoveryStatus.INVALID_RESPONSE, UpstreamInvalidAnswer.code)],
    ids=["no route", "a web page"],
)
def test_where_nothing_is_found_v1_is_tried_and_offered(
    typed: str, right: str, save: str, here: Exception
) -> None:
    server = Server({right: MODELS, Place.of(typed).at.models_url: here})
    tested = run_test(server, typed)
    assert tested.verdicts["models"] == "ok"
    assert tested.report.endpoint == save
    assert "save the endpoint given here" in tested.said("models")


def test_a_route_elsewhere_that_wants_a_key_is_found_too() -> None:
    tested = run_test(Server({"https://llm.test/api/v1/models": UNAUTHORIZED}), "llm.test/api")
    assert tested.report.endpoint == "https://llm.test/api/v1"
    assert tested.verdicts["authenticate"] == "failed"
    assert tested.remedy("authenticate") == advice.NO_KEY


def test_no_other_place_is_asked_when_this_one_answers_or_is_v1_itself() -> None:
    for server in (good(), Server()):
        run_test(server, TYPED)
        assert [url for url, _, _ in server.asked] == [LIST]


def test_an_address_too_long_to_be_lengthened_is_tried_as_it_is() -> None:
    typed = "https://llm.test/" + "a" * 2010
    assert run_test(Server(), typed).verdicts["models"] == "skipped"


def test_a_server_without_a_models_route_is_no_failure() -> None:
    tested = run_test(Server(), TYPED, api_key="sk-1")
    assert tested.verdicts == {**OK, "models": "skipped", "authenticate": "skipped"} | {
        "chat": "skipped"
    }
    assert "options.models" in tested.said("models")
    assert tested.report.endpoint is None


def test_an_empty_list_is_a_list() -> None:
    tested = run_test(Server({LIST: ModelList((), 3)}), TYPED)
    assert tested.verdicts["models"] == "ok"
    assert "empty" in tested.said("models")
    assert "not usable: 3" in tested.said("models")


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (DiscoveryStatus.RATE_LIMITED, UpstreamRateLimited),
        (DiscoveryStatus.LOADING, UpstreamLoading),
        (DiscoveryStatus.SERVER_ERROR, UpstreamServerError),
        (DiscoveryStatus.UNREACHABLE, UpstreamTimeout),
        (DiscoveryStatus.INVALID_RESPONSE, UpstreamInvalidAnswer),
    ],
)
def test_a_list_that_cannot_be_had_fails_that_step(
    status: DiscoveryStatus, kind: type[UpstreamFailure]
) -> None:
    tested = run_test(Server({LIST: failure(status, kind.code)}), TYPED)
    assert tested.verdicts["models"] == "failed"
    assert tested.said("models") == "It went wrong."
    assert tested.remedy("models")


@pytest.mark.parametrize(("key", "remedy"), [("sk-1", advice.WRONG_KEY), (None, advice.NO_KEY)])
def test_a_refused_key_fails_the_step_of_the_key_and_keeps_the_place(
    key: str | None, remedy: str
) -> None:
    tested = run_test(Server({LIST: UNAUTHORIZED}), TYPED, api_key=key)
    assert tested.verdicts["models"] == "skipped"
    assert tested.verdicts["authenticate"] == "failed"
    assert tested.remedy("authenticate") == remedy
    assert tested.report.endpoint == TYPED


@pytest.mark.parametrize(
    ("key", "keyless", "says"),
    [
        (None, None, "No key was given"),
        ("sk-1", MODELS, "without checking the key"),
        ("sk-1", failure(DiscoveryStatus.SERVER_ERROR, "c", "A 500."), "A 500."),
    ],
    ids=["no key", "unchecked", "another failure"],
)
def test_a_key_that_cannot_be_judged_is_not_judged(
    key: str | None, keyless: Any, says: str
) -> None:
    tested = run_test(good(keyless=keyless), TYPED, api_key=key)
    assert tested.verdicts["authenticate"] == "skipped"
    assert says in tested.said("authenticate")


def test_a_chat_that_is_answered_proves_the_key_and_the_place() -> None:
    server = good(keyless=MODELS)
    tested = run_test(server, TYPED, api_key="sk-1", chat=True)
    assert (tested.verdicts["authenticate"], tested.verdicts["chat"]) == ("ok", "ok")
    assert server.bodies[0]["model"] == "m-1"
    assert server.bodies[0]["max_tokens"] == 16
    assert tested.said("chat") == "m-1 answered."
    assert [step.name for step in tested.report.steps] == list(STEPS)


def test_without_a_key_an_answered_chat_proves_none() -> None:
    assert run_test(good(), TYPED, chat=True).verdicts["authenticate"] == "skipped"


def test_the_model_is_the_one_named_else_the_first_listed_else_one_listed_by_hand() -> None:
    for named, expected in (("mine", "mine"), (None, "m-1")):
        server = good()
        run_test(server, TYPED, chat=True, model=named)
        assert server.bodies[0]["model"] == expected
    server = Server()
    run_test(server, TYPED, chat=True, options={"models": ["by-hand"]})
    assert server.bodies[0]["model"] == "by-hand"
    tested = run_test(Server(), TYPED, chat=True)
    assert tested.remedy("chat") == advice.NAME_A_MODEL


def test_a_chat_finds_the_place_where_no_models_route_does() -> None:
    def chats(target: Target, _: Mapping[str, Any]) -> Any:
        there = target.chat_url == "https://llm.test/api/v1/chat/completions"
        return ANSWER if there else UpstreamRouteMissing("No such path.", sent=True)

    tested = run_test(Server(chats=chats), "https://llm.test/api", chat=True, model="m")
    assert tested.verdicts["chat"] == "ok"
    assert tested.report.endpoint == "https://llm.test/api/v1"

    nowhere = Server(chats=lambda *_: UpstreamRouteMissing("No such path.", sent=True))
    tested = run_test(nowhere, "https://llm.test/api", chat=True, model="m")
    assert tested.verdicts["chat"] == "failed"
    assert tested.report.endpoint is None


def test_a_model_that_knows_only_the_newer_name_of_the_bound_is_asked_again() -> None:
    def chats(_: Target, body: Mapping[str, Any]) -> Any:
        refused = UpstreamRefused("Unsupported parameter.", sent=True, upstream_status=400)
        return refused if "max_tokens" in body else ANSWER

    assert run_test(good(chats=chats), TYPED, chat=True).verdicts["chat"] == "ok"

    server = good(chats=lambda *_: UpstreamRefused("Bad.", sent=True, upstream_status=400))
    tested = run_test(server, TYPED, chat=True)
    assert (tested.verdicts["chat"], tested.said("chat")) == ("failed", "Bad.")
    assert len(server.bodies) == 2


@pytest.mark.parametrize(
    "answer", [UpstreamServerError("A 500.", sent=True), ConnectionLost("It was cut off.")]
)
def test_a_chat_that_fails_is_told_with_a_remedy(answer: Exception) -> None:
    tested = run_test(good(chats=lambda *_: answer), TYPED, chat=True)
    assert tested.verdicts["chat"] == "failed"
    assert tested.said("chat") == str(answer)
    assert tested.remedy("chat")
    assert tested.report.endpoint == TYPED  # the list was there


def test_the_whole_test_is_bounded_and_so_is_each_call() -> None:
    class Stuck(Server):
        async def resolve(self, host: str, port: int, *, seconds: float) -> Any:
            await asyncio.sleep(60)

    tested = run_test(Stuck(), TYPED, seconds=0.05)
    assert tested.verdicts["resolve"] == "failed"
    assert tested.remedy("resolve") == advice.OUT_OF_TIME

    server = good()
    run_test(server, TYPED, seconds=28.0, options={"connect_timeout": 3, "first_byte_timeout": 900})
    bounds = server.asked[0][2]
    assert (bounds.connect, bounds.total, bounds.first_byte) == (3, 10, 10)


def test_every_failure_of_an_upstream_has_its_remedy() -> None:
    kinds = [
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type)
        and issubclass(kind, UpstreamFailure)
        and kind is not UpstreamFailure
    ]
    assert len(kinds) >= 12
    for kind in kinds:
        assert advice.obstacle(kind("It went wrong.", sent=True)).remedy


def test_a_key_is_not_in_what_a_request_shows_of_itself() -> None:
    assert "sk-1" not in repr(Wanted(endpoint=TYPED, api_key="sk-1"))
