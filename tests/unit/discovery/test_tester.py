"""A test of values that are not saved yet: which steps there are, and what each says."""

from __future__ import annotations

import asyncio
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
    UpstreamServerError,
    UpstreamTimeout,
)
from shared.upstream import ModelList, Obstacle
from tests.unit.discovery.bench import (
    LIST,
    MODELS,
    NO_ROUTE,
    OK,
    RIGHT,
    TYPED,
    UNAUTHORIZED,
    Server,
    failure,
    good,
    run_test,
)


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
