"""The live sender on a Redis that the test plays: what goes out, and what is sent again."""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from redis.exceptions import ConnectionError as RedisAway
from redis.exceptions import OutOfMemoryError

from services.chat_worker import live_sender
from services.chat_worker.live_sender import LiveSender
from shared import live
from shared.crypto import Sealer
from shared.keyring import Keyring

SEALER = Sealer(Keyring.generate())
Published = tuple[str, bytes]
Reply = Callable[[Sequence[Published]], list[int]]


class PlayedRedis:
    """Answers each pipeline by the next of its replies, and well when there is none."""

    def __init__(self) -> None:
        self.replies: list[Reply] = []
        self.pipelines: list[list[Published]] = []
        self.heard: dict[str, list[tuple[str, int, int]]] = {}  # by reader: job, first, count
        self.asked = 0  # pipelines that are or were under way
        self.gate = asyncio.Event()
        self.gate.set()

    def pipeline(self, *, transaction: bool) -> PlayedPipeline:
        assert not transaction
        return PlayedPipeline(self)

    async def aclose(self) -> None:
        pass

    def numbers(self, reader: str, job_id: str) -> list[int]:
        """Of all chunks that a reader was sent, in that order."""
        return [
            number
            for job, first, count in self.heard.get(reader, ())
            if job == job_id
            for number in range(first, first + count)
        ]


class PlayedPipeline:
    def __init__(self, server: PlayedRedis) -> None:
        self._server = server
        self._messages: list[Published] = []

    def publish(self, channel: str, message: bytes) -> None:
        self._messages.append((channel, message))

    async def execute(self) -> list[int]:
        server = self._server
        server.asked += 1
        await server.gate.wait()
        server.pipelines.append(self._messages)
        reply = server.replies.pop(0) if server.replies else takes_all
        answers = reply(self._messages)
        for channel, message in self._messages:
            reader = channel.rpartition(":")[2]
            found = [
                (entry.job_id, entry.first, len(entry.chunks))
                for entry in live.open_entries(SEALER, reader, message)
            ]
            server.heard.setdefault(reader, []).extend(found)
        return answers


def takes_all(messages: Sequence[Published]) -> list[int]:
    return [1] * len(messages)


def nobody_hears(messages: Sequence[Published]) -> list[int]:
    return [0] * len(messages)


def raises(fault: Exception) -> Reply:
    def reply(_: Sequence[Published]) -> list[int]:
        raise fault

    return reply


class Bench:
    """A sender at work, and the Redis that it talks to."""

    def __init__(self) -> None:
        self.server = PlayedRedis()
        self.sender = LiveSender(self.server, SEALER)  # type: ignore[arg-type]

    def follow(self, reader: str, *job_ids: str) -> None:
        self.sender.follow(live.Follows(reader, begin=dict.fromkeys(job_ids, -1)).message())

    def stream(self, job_id: str) -> Any:
        stream = self.sender.stream(job_id)
        stream.show()
        return stream


@asynccontextmanager
async def working() -> AsyncIterator[Bench]:
    bench = Bench()
    bench.sender.open()
    try:
        yield bench
    finally:
        await bench.sender.aclose()


def on_a_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    @functools.wraps(test)
    def run(*fixtures: Any, **named: Any) -> None:
        asyncio.run(test(*fixtures, **named))

    return run


async def until(reached: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not reached():
            await asyncio.sleep(0.002)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_sender, "REST_AFTER_ERROR", 0.01)


@on_a_loop
async def test_chunks_that_come_while_a_message_is_under_way_are_one_entry_of_the_next() -> None:
    async with working() as bench:
        bench.follow("r", "01J", "01K")
        bench.server.gate.clear()
        stream, other = bench.stream("01J"), bench.stream("01K")
        stream.append(b"0")
        await until(lambda: bench.server.asked == 1)
        for chunk in (b"1", b"2", b"3"):
            stream.append(chunk)
            other.append(chunk)
        bench.server.gate.set()
        await until(lambda: len(bench.server.numbers("r", "01K")) == 3)
        assert bench.server.heard == {"r": [("01J", 0, 1), ("01J", 1, 3), ("01K", 0, 3)]}
        assert len(bench.server.pipelines) == 2


@on_a_loop
async def test_what_waits_when_streams_end_is_sent_before_its_pause_is_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(live_sender, "LONGEST_PAUSE", 60.0)
    monkeypatch.setattr(live_sender, "PAUSE_PER_ENTRY", 60.0)
    async with working() as bench:
        bench.follow("r", "01J")
        stream = bench.stream("01J")
        stream.append(b"0")
        await until(lambda: bench.server.numbers("r", "01J") == [0])
        stream.append(b"1")
        stream.end()
        bench.sender.hurry({"01K"})  # another job's end is no reason
        await asyncio.sleep(0.02)
        assert bench.server.numbers("r", "01J") == [0]
        bench.sender.hurry({"01J", "01K"})
        await until(lambda: bench.server.numbers("r", "01J") == [0, 1])


@on_a_loop
async def test_each_reader_has_one_message_of_what_he_follows() -> None:
    async with working() as bench:
        bench.follow("r", "01J", "01K")
        bench.follow("other", "01K")
        bench.server.gate.clear()
        for job_id in ("01J", "01K", "01L"):
            bench.stream(job_id).append(b"0")
        bench.server.gate.set()
        await until(lambda: len(bench.server.pipelines) == 1)
        (messages,) = bench.server.pipelines
        assert [channel for channel, _ in messages] == ["dragoman:live:r", "dragoman:live:other"]
        assert bench.server.heard == {"r": [("01J", 0, 1), ("01K", 0, 1)], "other": [("01K", 0, 1)]}


@on_a_loop
async def test_what_redis_did_not_take_is_sent_when_it_is_back_each_chunk_in_its_order() -> None:
    async with working() as bench:
        away = raises(RedisAway("gone"))
        bench.server.replies = [away, raises(OutOfMemoryError("full")), away]
        bench.follow("r", "01J")
        stream = bench.stream("01J")
        for number in range(5):
            sent = len(bench.server.pipelines)
            stream.append(b"%d" % number)
            await until(lambda: len(bench.server.pipelines) > sent)  # noqa: B023 - of this round
        stream.end()
        await until(lambda: bench.server.numbers("r", "01J") == [0, 1, 2, 3, 4])


@on_a_loop
async def test_a_reader_whom_nobody_hears_costs_no_more_until_he_speaks_again() -> None:
    async with working() as bench:
        bench.server.replies = [nobody_hears]
        bench.follow("r", "01J")
        stream = bench.stream("01J")
        stream.append(b"0")
        await until(lambda: len(bench.server.pipelines) == 1)
        stream.append(b"1")
        await asyncio.sleep(0.05)
        assert len(bench.server.pipelines) == 1
        bench.follow("r", "01J")
        await until(lambda: bench.server.numbers("r", "01J") == [0, 0, 1])


@on_a_loop
async def test_a_defect_loses_what_it_met_and_nothing_that_follows(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with working() as bench:
        bench.server.replies = [raises(ValueError("a defect"))]
        bench.follow("r", "01J")
        stream = bench.stream("01J")
        stream.append(b"0")
        await until(lambda: len(bench.server.pipelines) == 1)
        stream.append(b"1")
        await until(lambda: bench.server.numbers("r", "01J") == [1])
        bench.follow("r", "01J")  # as a reader does who sees the gap
        await until(lambda: bench.server.numbers("r", "01J") == [1, 0, 1])
    assert "live chunks are lost" in caplog.text


@on_a_loop
async def test_a_defect_holds_up_no_stop(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench()
    bench.server.replies = [raises(ValueError("a defect"))]
    bench.follow("r", "01J")
    bench.stream("01J").append(b"0")
    await bench.sender.aclose()
    assert "live chunks are lost" in caplog.text


@on_a_loop
async def test_what_no_reader_of_ours_said_is_logged_and_passed_over(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with working() as bench:
        bench.sender.follow(b'{"reader":1}')
        bench.follow("r", "01J")
        bench.stream("01J").append(b"0")
        await until(lambda: bench.server.numbers("r", "01J") == [0])
    assert "not understood" in caplog.text


@on_a_loop
async def test_a_stop_sends_what_waits() -> None:
    async with working() as bench:
        bench.server.gate.clear()
        bench.follow("r", "01J")
        stream = bench.stream("01J")
        stream.append(b"0")
        await until(lambda: bench.server.asked == 1)
        stream.append(b"1")
        stream.end()
        bench.server.gate.set()
        await bench.sender.aclose()
        assert bench.server.numbers("r", "01J")[-2:] == [0, 1]


@on_a_loop
async def test_a_stop_does_not_wait_for_a_redis_that_is_away_or_frozen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(live_sender, "LAST_SECONDS", 0.05)
    for frozen in (False, True):
        async with working() as bench:
            bench.server.replies = [raises(RedisAway("gone"))] * 100
            if frozen:
                bench.server.gate.clear()
            bench.follow("r", "01J")
            bench.stream("01J").append(b"0")
            began = time.monotonic()
        assert time.monotonic() - began < 1
        assert len(bench.server.pipelines) < 3
