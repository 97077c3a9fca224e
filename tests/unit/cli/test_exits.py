"""How commands end, and what they say then."""

from __future__ import annotations

import json

import httpx
import pytest

from cli.exits import Exit
from tests.unit.cli.scene import KEY, Scene, job, provider, refused


@pytest.mark.parametrize(
    ("status", "exit_"),
    [
        (400, Exit.FAILED),
        (401, Exit.NOT_ALLOWED),
        (403, Exit.NOT_ALLOWED),
        (404, Exit.NOT_FOUND),
        (409, Exit.FAILED),
        (500, Exit.FAILED),
        (503, Exit.FAILED),
    ],
)
def test_a_refusal_ends_by_its_status_and_shows_message_place_code_and_request(
    scene: Scene, status: int, exit_: Exit
) -> None:
    ran = scene.answering(refused(status, param="name", code="because")).run(
        "providers", "show", "acme"
    )
    assert ran.exit is exit_
    assert ran.out == ""
    assert ran.err == "Error: Expected x, got y.\n  (at name, code because, request req_1)\n"


def test_a_refusal_for_now_says_when_to_come_again(scene: Scene) -> None:
    ran = scene.answering(refused(429, headers={"Retry-After": "17"})).run("models")
    assert ran.exit is Exit.FAILED
    assert ran.err.endswith("  Try again in 17 s.\n")


def test_a_pause_longer_than_the_header_tells_is_the_messages(scene: Scene) -> None:
    """A day's tokens are used up for hours, and the header says 120 s."""
    ran = scene.answering(refused(429, headers={"Retry-After": "120"})).run("models")
    assert "Try again" not in ran.err


def test_a_server_that_cannot_be_reached_is_told_from_one_that_refuses(scene: Scene) -> None:
    def unreachable(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("Connection refused")

    scene.handler = unreachable
    ran = scene.run("models")
    assert ran.exit is Exit.UNREACHABLE
    assert "Connection refused" in ran.err
    assert "DRAGOMAN_URL" in ran.err


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(502, html="<h1>Bad Gateway</h1>"),
        httpx.Response(404, json={"detail": "Not Found"}),
        httpx.Response(200, text="Welcome"),
        httpx.Response(200, json=["not", "ours"]),
    ],
)
def test_what_does_not_answer_as_dragoman_does_is_not_reached(
    scene: Scene, answer: httpx.Response
) -> None:
    ran = scene.answering(answer).run("models")
    assert ran.exit is Exit.UNREACHABLE
    assert "registry.test:8642" in ran.err
    assert "Bad Gateway" not in ran.err


@pytest.mark.parametrize(
    "words", [["providers", "lst"], ["models", "--no-such"], ["jobs", "show"], ["nothing"], []]
)
def test_what_is_not_understood_ends_with_2_and_asks_nobody(scene: Scene, words: list[str]) -> None:
    ran = scene.run(*words)
    assert ran.exit is Exit.USAGE
    assert ran.out == ""
    assert scene.requests == []


def test_ctrl_c_ends_with_130(scene: Scene) -> None:
    def interrupt(request: httpx.Request) -> httpx.Response:
        raise KeyboardInterrupt

    scene.handler = interrupt
    assert scene.run("models").exit is Exit.INTERRUPTED


def test_a_job_that_failed_ends_the_watching_with_6_and_its_reason(scene: Scene) -> None:
    error = {"message": "The server fell over.", "code": "upstream_server_error"}
    failed = job(status="failed", error=error)
    scene.handler = lambda request: (
        httpx.Response(200, text=f"data: {json.dumps({'error': error})}\n\n")
        if "stream" in request.url.params
        else httpx.Response(200, json=failed)
    )
    ran = scene.run("jobs", "watch", "chatcmpl-1")
    assert ran.exit is Exit.JOB_FAILED
    assert "The server fell over." in ran.err


def test_no_message_and_no_table_obeys_what_others_wrote(scene: Scene) -> None:
    evil = "\x1b]0;title\x07\x1b[2J\u202e"
    ran = scene.answering(refused(400, f"Expected {evil}")).run("models")
    assert not set("\x1b\x07\u202e") & set(ran.err)
    named = provider(name=evil, tags=[evil])
    scene.handler = lambda request: httpx.Response(200, json=named)
    ran = scene.run("providers", "show", "acme")
    assert not set("\x1b\x07\u202e") & set(ran.out)


def test_the_key_is_in_the_header_and_in_no_message(scene: Scene) -> None:
    ran = scene.answering(refused(401)).run("models")
    assert scene.requests[0].headers["Authorization"] == f"Bearer {KEY}"
    assert KEY not in ran.out + ran.err


def test_json_says_the_same_without_anything_that_a_terminal_obeys(scene: Scene) -> None:
    named = provider(name="\x1b[2J\x9b2J\u202e ü")
    scene.answering(httpx.Response(200, json=named))
    ran = scene.run("providers", "show", "acme", "--json")
    assert json.loads(ran.out) == named
    assert not set("\x1b\x9b\u202e") & set(ran.out)
    assert "ü" in ran.out
