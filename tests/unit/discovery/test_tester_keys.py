"""What a test of unsaved values says of the key, and of one chat."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from services.discovery_worker import advice
from services.discovery_worker.report import STEPS
from shared.domain import DiscoveryStatus
from shared.errors import (
    UpstreamRefused,
    UpstreamRouteMissing,
    UpstreamServerError,
)
from shared.upstream import ConnectionLost, Target
from tests.unit.discovery.bench import (
    ANSWER,
    LIST,
    MODELS,
    TYPED,
    UNAUTHORIZED,
    Server,
    failure,
    good,
    run_test,
)


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
