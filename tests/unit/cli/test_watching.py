"""`jobs watch` over a server that comes and goes."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from cli.exits import Exit
from cli.jobs import following
from tests.unit.cli.scene import Scene, job, refused

Answer = Callable[[], httpx.Response]


@pytest.fixture(autouse=True)
def no_rests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "REST_SECONDS", 0.001)


def chunks(first: int, *texts: str, end: str = "data: [DONE]\n\n") -> httpx.Response:
    numbered = [
        {"sequence_number": n, "choices": [{"index": 0, "delta": {"content": text}}]}
        for n, text in enumerate(texts, first)
    ]
    frames = "".join(f"id: {c['sequence_number']}\ndata: {json.dumps(c)}\n\n" for c in numbered)
    return httpx.Response(200, content=(frames + end).encode())


def state(status: str, version: int, **fields: Any) -> httpx.Response:
    body = job(status=status, **fields)
    return httpx.Response(200, json=body, headers={"ETag": f'W/"{version}"'})


class Server:
    """Streams and states in turn; the last of each for ever."""

    def __init__(self, streams: list[httpx.Response], states: list[httpx.Response]) -> None:
        self.streams, self.states = streams, states
        self.asked_after: list[str] = []
        self.known: list[str | None] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if "stream" in request.url.params:
            self.asked_after.append(request.url.params["starting_after"])
            left = self.streams
        else:
            self.known.append(request.headers.get("If-None-Match"))
            left = self.states
        return left.pop(0) if len(left) > 1 else left[0]


def test_a_stream_that_is_cut_off_goes_on_behind_the_last_chunk(scene: Scene) -> None:
    streams = [
        chunks(0, "He", "l", end=""),
        refused(503, code="store_unavailable"),
        chunks(2, "lo"),
    ]
    scene.handler = server = Server(streams, [state("in_progress", 1), state("completed", 2)])
    ran = scene.run("jobs", "watch", "chatcmpl-1")
    assert (ran.exit, ran.out) == (Exit.OK, "Hello\n")
    assert server.asked_after == ["-1", "1", "1"]


def test_states_are_told_once_and_asked_for_by_their_version(scene: Scene) -> None:
    waits = {"reason": "provider_busy", "until": None, "cause": None}
    scene.handler = server = Server(
        [chunks(0, "x")],
        [
            state("queued", 1),
            httpx.Response(304),
            state("queued", 1, waiting_for=waits),
            refused(503),
            state("in_progress", 2),
            state("completed", 3),
        ],
    )
    ran = scene.run("jobs", "watch", "chatcmpl-1")
    told = ran.err.splitlines()
    assert told == [
        "queued: position 3",
        "queued: provider_busy",
        "in progress, attempt 1",
        "completed in 1 s, 3 tokens",
    ]
    assert server.known == [None, 'W/"1"', None, 'W/"1"', 'W/"1"', 'W/"2"']


def test_for_programs_each_change_is_a_line_and_no_text_is_asked_for(scene: Scene) -> None:
    states = [state("queued", 1), httpx.Response(304), state("queued", 1), state("completed", 2)]
    scene.handler = server = Server([chunks(0, "x")], states)
    ran = scene.run("jobs", "watch", "chatcmpl-1", "--json")
    assert [row["status"] for row in ran.rows] == ["queued", "completed"]
    assert server.asked_after == []


def test_a_job_that_is_not_there_is_told_at_once(scene: Scene) -> None:
    scene.handler = server = Server([refused(404)], [refused(404)])
    assert scene.run("jobs", "watch", "chatcmpl-1").exit is Exit.NOT_FOUND
    assert len(server.known) == 1


def test_a_server_that_is_away_from_the_start_is_told_at_once(scene: Scene) -> None:
    def away(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    scene.handler = away
    assert scene.run("jobs", "watch", "chatcmpl-1", "--json").exit is Exit.UNREACHABLE
    assert len(scene.requests) == 1
