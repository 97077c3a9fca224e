"""How a streamed call ends, and after how long."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from shared.errors import UpstreamFailure
from shared.upstream import Bounds
from tests.contract.upstream.behaviours import BEHAVIOURS, Expected
from tests.contract.upstream.calls import client, failure_of, run, target
from tests.contract.upstream.stage import Script, Wire, serving
from tests.contract.upstream.streaming_calls import Failure, Streaming, streaming_of
from tests.contract.upstream.streams import (
    BREAKS,
    CHUNKED,
    DONE,
    END,
    Broken,
    answers,
    chunked,
    event,
    finishes,
    says,
    streams,
    until_closed,
)

# Time enough for many calls together on a busy machine, and one bound that can be the first.
UNHURRIED = Bounds(connect=5, first_byte=0.8, idle=0.8, total=20)
# Whoever drips is served by this loop too, and may be held up by the others for a while.
DRIPPED = replace(UNHURRIED, idle=1.8, total=2)
# What breaks by itself is to be seen as that, also where the loop stands still for a second.
PATIENT = Bounds(connect=5, first_byte=20, idle=20, total=20)
BY_PHASE = {"total": DRIPPED, "idle": UNHURRIED, "first_byte": UNHURRIED}


def faults_of(expected: Broken, failure: Failure, seen: Streaming) -> list[str]:
    told = (type(failure), len(seen.chunks), failure.may_have_been_billed, seen.sent)
    faults = []
    if told != (expected.kind, expected.chunks, True, 1):
        faults.append(f"{told}")
    if expected.says not in failure.message or not failure.message.startswith("Expected "):
        faults.append(failure.message)
    if isinstance(failure, UpstreamFailure) and (
        (failure.phase, failure.upstream_status) != (expected.phase, expected.status)
        or not failure.sent
        or failure.refused_for_now
    ):
        faults.append(f"{vars(failure)}")
    return faults


def test_every_way_to_break_a_stream_has_its_class_and_may_have_been_billed() -> None:
    """All at once: what one does must not make another one late."""

    async def one(script: Script, expected: Broken) -> list[str]:
        async with serving(script) as stage, client() as calling:
            seen = Streaming(calling, stage)
            bounds = BY_PHASE.get(expected.phase or "", PATIENT)
            return faults_of(expected, await seen.failure(bounds), seen)

    async def main() -> dict[str, list[str]]:
        found = await asyncio.gather(*(one(*each) for each in BREAKS.values()))
        return {name: faults for name, faults in zip(BREAKS, found, strict=True) if faults}

    assert run(main()) == {}


def test_what_ends_a_whole_answer_ends_a_stream_alike() -> None:
    """One classification: but for the server that streams, which is what was asked for here."""

    room = asyncio.Semaphore(20)

    async def called(script: Script, bounds: Bounds, *, streamed: bool) -> dict[str, Any]:
        async with serving(script) as stage, client() as calling:
            if streamed:
                failure = await Streaming(calling, stage).failure(bounds)
            else:
                at = target(f"http://127.0.0.1:{stage.port}")
                failure, _ = await failure_of(calling, at, bounds)
            message = failure.message.replace(str(stage.port), "")
            return {**vars(failure), "kind": type(failure), "message": message}

    async def one(script: Script, expected: Expected) -> list[dict[str, Any]]:
        bounds = BY_PHASE.get(expected.phase or "", PATIENT)
        async with room:
            both = (called(script, bounds, streamed=streamed) for streamed in (False, True))
            return await asyncio.gather(*both)

    async def main() -> dict[str, Any]:
        each = {name: each for name, each in BEHAVIOURS.items() if name != "answers a stream"}
        found = await asyncio.gather(*(one(*how) for how in each.values()))
        pairs = zip(each, found, strict=True)
        return {name: pair for name, pair in pairs if pair[0] != pair[1]}

    assert run(main()) == {}


@pytest.mark.parametrize(
    "script",
    [
        streams(says("a"), says("b"), finishes(), DONE),
        streams(says("a"), says("b"), finishes()),
        streams(says("a"), says("b"), DONE),
        streams(says("a"), says("b"), finishes(), DONE.rstrip(b"\n")),
        streams(says("a"), says("b"), finishes(), then="cut"),
        streams(says("a"), says("b"), finishes(), then="reset"),
        streams(says("a"), says("b"), finishes(), then="silence"),
        streams(says("a"), says("b"), finishes(), DONE, then="silence"),
        streams(says("a"), says("b"), finishes(), DONE, then="reset"),
        streams(says("a"), says("b"), finishes(), DONE, b"data: {oops\n\n"),
        streams(says("a"), says("b"), finishes().rstrip(b"\n")),
        streams(b"".join((says("a"), says("b"), finishes(), DONE))),
        streams(*(bytes((byte,)) for byte in says("a") + says("b") + finishes() + DONE)),
        streams(says("a").replace(b"\n", b"\r\n"), says("b"), finishes(), DONE),
        streams(b": WAIT\n\n", says("a"), b": WAIT\n\n", says("b"), finishes(), DONE),
        streams(says("a"), finishes(), event(choices=[], usage={}), says("b"), DONE),
        until_closed(says("a"), says("b"), finishes()),
        answers(says("a") + says("b") + finishes() + DONE, "application/json"),
        answers(says("a") + says("b") + finishes() + DONE, ""),
        answers(b"\n: hello\n\n" + says("a") + says("b") + finishes() + DONE, "text/plain"),
        answers(says("a") + says("b") + finishes() + DONE, "Text/Event-Stream; charset=utf-8"),
    ],
)
def test_a_stream_that_is_complete_ends_well_however_it_ends(script: Script) -> None:
    async def check(seen: Streaming) -> None:
        end = await seen.end()
        assert (seen.text, end.chunks, end.whole) == ("ab", len(seen.chunks), None)

    streaming_of(script, check)


def test_the_end_tells_status_request_id_and_times() -> None:
    async def script(wire: Wire) -> None:
        await wire.request()
        await wire.send(CHUNKED.replace(b"OK\r\n", b"OK\r\nX-Request-Id: req-1\r\n"))
        await asyncio.sleep(0.1)
        await wire.send(chunked(says("a")))
        await asyncio.sleep(0.1)
        await wire.send(chunked(finishes() + DONE) + END)

    async def check(seen: Streaming) -> None:
        end = await seen.end()
        assert (end.status, end.request_id, end.chunks, seen.sent) == (200, "req-1", 2, 1)
        assert end.connect_seconds is not None
        assert 0 < end.connect_seconds < end.first_byte_seconds < end.total_seconds
        assert 0.08 < end.first_byte_seconds < 0.18 < end.total_seconds < 0.5

    streaming_of(script, check)
