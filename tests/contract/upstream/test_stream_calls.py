"""What a streamed call hands over, keeps to itself, and leaves behind."""

from __future__ import annotations

import asyncio
import ssl
import time
import traceback
from typing import Any

import pytest
import trustme

from shared.upstream import Bounds, streaming
from tests.contract.upstream.calls import SHORT, client, run, target
from tests.contract.upstream.stage import Wire, serving
from tests.contract.upstream.streaming_calls import ASKED, Streaming, streaming_of
from tests.contract.upstream.streams import (
    CHUNKED,
    DONE,
    END,
    chunked,
    event,
    finishes,
    says,
    streams,
)

KEY = "sk-canary/0123456789+abcdef"


def test_chunks_are_handed_over_as_they_come_unknown_fields_included() -> None:
    came = asyncio.Event()
    first = {"id": 7, "choices": [], "x": {"y": [1, None]}, "usage": None}

    async def script(wire: Wire) -> None:
        await wire.request()
        await wire.send(CHUNKED + chunked(event(**first)))
        await came.wait()  # nothing more is sent before the first chunk was handed over
        await wire.send(chunked(event(usage={}) + event(choices=None) + finishes() + DONE) + END)

    async def main() -> list[dict[str, Any]]:
        chunks: list[dict[str, Any]] = []

        def take(chunk: dict[str, Any]) -> None:
            chunks.append(chunk)
            came.set()

        async with serving(script) as stage, client() as calling:
            at = target(f"http://127.0.0.1:{stage.port}")
            await calling.stream_chat(at, ASKED, SHORT, on_chunk=take)
        return chunks

    *chunks, _last = run(main())
    assert chunks == [first, {"usage": {}, "choices": []}, {"choices": []}]


def test_half_an_emoji_and_nul_are_replaced_in_a_chunk() -> None:
    async def check(seen: Streaming) -> None:
        await seen.end()
        assert seen.text == "cut \ufffd, NUL \ufffd"

    raw = says("cut \\ud83d, NUL \\u0000").replace(b"\\\\", b"\\")
    streaming_of(streams(raw, finishes(), DONE), check)


def test_comments_keep_a_slow_stream_alive_between_its_chunks() -> None:
    async def script(wire: Wire) -> None:
        await wire.request()
        await wire.send(CHUNKED + chunked(says("a")))
        for _ in range(4):
            await asyncio.sleep(0.15)
            await wire.send(chunked(b": still here\n\n"))
        await wire.send(chunked(finishes() + DONE) + END)

    async def check(seen: Streaming) -> None:
        end = await seen.end(Bounds(first_byte=0.25, idle=0.25, total=5))
        assert end.total_seconds > 0.5

    streaming_of(script, check)


def test_the_first_byte_bound_ends_with_the_first_chunk() -> None:
    async def script(wire: Wire) -> None:
        await wire.request()
        await wire.send(CHUNKED + chunked(says("a")))
        await asyncio.sleep(0.5)
        await wire.send(chunked(finishes() + DONE) + END)

    async def check(seen: Streaming) -> None:
        await seen.end(Bounds(first_byte=0.25, idle=2, total=5))

    streaming_of(script, check)


def test_a_connection_that_was_read_to_its_end_carries_the_next_call() -> None:
    async def script(wire: Wire) -> None:
        while True:
            await wire.request()
            await wire.send(CHUNKED + chunked(says("a") + finishes() + DONE))
            await asyncio.sleep(0.01)
            await wire.send(END)

    async def check(seen: Streaming) -> None:
        first, second = await seen.end(), await seen.end()
        assert (seen.stage.connections, len(seen.stage.requests)) == (1, 2)
        assert first.connect_seconds is not None
        assert second.connect_seconds is None

    streaming_of(script, check)


def test_a_server_that_lingers_after_done_costs_no_time() -> None:
    async def check(seen: Streaming) -> None:
        end = await seen.end(Bounds(idle=30))
        assert end.total_seconds < 1
        await asyncio.wait_for(seen.stage.hung_up.wait(), 1)

    streaming_of(streams(says("a"), finishes(), DONE, then="silence"), check)


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_cancelling_closes_the_connection_at_once(tls: bool) -> None:
    async def main() -> None:
        authority = trustme.CA()
        context = None
        if tls:
            context = trustme_server(authority)
        script = streams(says("a"), then="silence")
        async with serving(script, tls=context) as stage, client() as calling:
            seen = Streaming(calling, stage)
            ca = authority.cert_pem.bytes().decode() if tls else None
            origin = f"{'https' if tls else 'http'}://127.0.0.1:{stage.port}"
            at = target(origin, ca_certificate=ca)
            task = asyncio.ensure_future(seen.end(Bounds(), at=at))
            while not seen.chunks:
                await asyncio.sleep(0.005)
            task.cancel()
            began = time.monotonic()
            await asyncio.wait_for(stage.hung_up.wait(), 2)
            assert time.monotonic() - began < 0.2
            with pytest.raises(asyncio.CancelledError):
                await task

    run(main())


def trustme_server(authority: trustme.CA) -> Any:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


def test_what_the_callers_own_function_raises_ends_the_call() -> None:
    def refuse(_chunk: dict[str, Any]) -> None:
        raise ZeroDivisionError

    async def main() -> None:
        async with serving(streams(says("a"), then="silence")) as stage, client() as calling:
            at = target(f"http://127.0.0.1:{stage.port}")
            with pytest.raises(ZeroDivisionError):
                await calling.stream_chat(at, ASKED, SHORT, on_chunk=refuse)
            await asyncio.wait_for(stage.hung_up.wait(), 1)

    run(main())


def test_more_chunks_than_the_bound_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    assert streaming.MAX_CHUNKS == 250_000
    monkeypatch.setattr(streaming, "MAX_CHUNKS", 3)

    async def fits(seen: Streaming) -> None:
        assert (await seen.end()).chunks == 3

    async def does_not(seen: Streaming) -> None:
        assert "a stream of more than 3 chunks" in (await seen.failure()).message

    streaming_of(streams(says("a"), says("a"), finishes(), DONE), fits)
    streaming_of(streams(says("a"), says("a"), says("a"), finishes(), DONE), does_not)


def test_our_key_echoed_in_a_chunk_is_starred_also_when_it_came_in_two_pieces() -> None:
    raw = says(f"plain {KEY}") + says("escaped " + KEY.replace("/", "\\/")).replace(b"\\\\", b"\\")
    raw += (
        says("letters sk-canary")
        .replace(b"sk-", b"\\u0073k-")
        .replace(b"canary", b"canary/0123456789+abcdef")
    )
    middle = raw.index(KEY.encode()) + 9

    async def check(seen: Streaming) -> None:
        await seen.end()
        assert seen.text == "plain ***escaped ***letters ***"

    streaming_of(streams(raw[:middle], raw[middle:], finishes(), DONE), check, KEY)


@pytest.mark.parametrize(
    "last",
    [
        event(error={"message": f"bad key {KEY}"}),
        b"data: " + KEY.encode() + b"\n\n",
        event(choices=KEY),
        b"data: " + KEY.encode(),
        b"x" * 2**20 + KEY.encode(),
        b"",
    ],
)
@pytest.mark.parametrize("then", ["end", "cut"])
def test_the_key_is_in_no_failure_of_a_stream_and_in_no_traceback(last: bytes, then: str) -> None:
    async def check(seen: Streaming) -> None:
        failure = await seen.failure()
        shown = traceback.TracebackException.from_exception(failure, capture_locals=True)
        assert KEY not in "".join(shown.format())
        assert KEY not in repr(vars(failure))

    streaming_of(streams(says("a"), says(KEY) + last, then=then), check, KEY)


def test_between_two_turns_of_the_loop_no_more_is_handed_over_than_64_kib_hold() -> None:
    """A flood of the smallest chunks takes its time; other calls keep theirs."""
    smallest = b'data:{"choices":[]}\n\n'
    since_turn, most = 0, 0

    def note(_chunk: dict[str, Any]) -> None:
        nonlocal since_turn, most
        since_turn += 1
        most = max(most, since_turn)

    async def turn() -> None:
        nonlocal since_turn
        while True:
            since_turn = 0
            await asyncio.sleep(0)

    async def main() -> None:
        turning = asyncio.ensure_future(turn())
        flood = streams(smallest * 50_000, finishes(), DONE)
        async with serving(flood) as stage, client() as calling:
            at = target(f"http://127.0.0.1:{stage.port}")
            end = await calling.stream_chat(at, ASKED, Bounds(), on_chunk=note)
        turning.cancel()
        assert end.chunks == 50_001

    run(main())
    assert most <= 2**16 // len(smallest) + 1
