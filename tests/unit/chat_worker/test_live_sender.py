"""The live sender on a Redis that the test plays: what is sent again, and what is given up."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
import redis
from redis.exceptions import OutOfMemoryError

from services.chat_worker import live_sender
from services.chat_worker.live_sender import LiveSender
from shared import live
from shared.crypto import Sealer
from shared.keyring import Keyring
from tests.eventually import eventually

SEALER = Sealer(Keyring.generate())
Command = tuple[str, str, Any]  # name, key, and the id of an entry or a life in seconds
Reply = Callable[[Sequence[Command]], list[Any]]


class PlayedRedis:
    """Answers each pipeline by the next of its replies, and well when there is none."""

    def __init__(self) -> None:
        self.replies: list[Reply] = []
        self.pipelines: list[list[Command]] = []
        self.stored: dict[str, list[live.Entry]] = {}
        self.gate = threading.Event()
        self.gate.set()

    def pipeline(self, *, transaction: bool) -> PlayedPipeline:
        assert not transaction
        return PlayedPipeline(self)

    def entries(self, job_id: str) -> list[tuple[int, int]]:
        """First number and count of each stored entry."""
        return [(entry.first, len(entry.chunks)) for entry in self.stored.get(job_id, ())]


class PlayedPipeline:
    def __init__(self, server: PlayedRedis) -> None:
        self._server = server
        self._commands: list[Command] = []
        self._fields: dict[int, dict[str, str]] = {}

    def __len__(self) -> int:
        return len(self._commands)

    def xadd(self, key: str, fields: dict[str, str], *, id: str) -> None:  # noqa: A002
        self._fields[len(self)] = fields
        self._commands.append(("XADD", key, id))

    def expire(self, key: str, seconds: int) -> None:
        self._commands.append(("EXPIRE", key, seconds))

    def execute(self, *, raise_on_error: bool) -> list[Any]:
        assert not raise_on_error
        server = self._server
        server.gate.wait(5)
        server.pipelines.append(self._commands)
        reply = server.replies.pop(0) if server.replies else takes_all
        answers = reply(self._commands)
        for place, fields in self._fields.items():
            if not isinstance(answers[place], Exception):
                job_id = self._commands[place][1].rpartition(":")[2]
                entry = live.open_entry(SEALER, job_id, fields)
                server.stored.setdefault(job_id, []).append(entry)
        return answers


def takes_all(commands: Sequence[Command]) -> list[Any]:
    return ["ok"] * len(commands)


def is_away(_: Sequence[Command]) -> list[Any]:
    raise redis.ConnectionError("gone")


def refuses(fault: Exception) -> Reply:
    return lambda commands: [fault if name == "XADD" else 1 for name, _, _ in commands]


@pytest.fixture
def server() -> PlayedRedis:
    return PlayedRedis()


@pytest.fixture
def sender(server: PlayedRedis, monkeypatch: pytest.MonkeyPatch) -> Iterator[LiveSender]:
    monkeypatch.setattr(live_sender, "REST_AFTER_ERROR", 0.01)
    sender = LiveSender(server, SEALER)  # type: ignore[arg-type]
    sender.start()
    yield sender
    sender.stop()


def test_chunks_that_come_while_a_pipeline_is_under_way_are_one_entry_of_the_next(
    server: PlayedRedis, sender: LiveSender
) -> None:
    server.gate.clear()
    stream = sender.stream("01J", silence=60)
    stream.append(b"0")
    other = sender.stream("01K", silence=60)
    for chunk in (b"1", b"2", b"3"):
        stream.append(chunk)
        other.append(chunk)
    server.gate.set()
    eventually(lambda: sum(count for _, count in server.entries("01J")) == 4, 5)
    eventually(lambda: sum(count for _, count in server.entries("01K")) == 3, 5)
    assert len(server.pipelines) <= 3
    chunks = [chunk for entry in server.stored["01J"] for chunk in entry.chunks]
    assert chunks == [b"0", b"1", b"2", b"3"]


def test_a_stream_outlives_a_silence_and_ends_ten_minutes_after_its_job(
    server: PlayedRedis, sender: LiveSender
) -> None:
    stream = sender.stream("01J", silence=100.5)
    stream.append(b"0")
    eventually(lambda: server.entries("01J"), 5)
    stream.append(b"1")
    eventually(lambda: len(server.entries("01J")) == 2, 5)
    stream.end()
    eventually(lambda: len(server.pipelines) == 3, 5)
    key = live.stream_key("01J")
    assert server.pipelines == [
        [("XADD", key, "1-0"), ("EXPIRE", key, 221)],  # 100.5 + 60 + 60
        [("XADD", key, "2-0")],
        [("EXPIRE", key, 60)],
    ]


def test_a_running_streams_life_is_set_anew_from_time_to_time(server: PlayedRedis) -> None:
    now = [0.0]
    sender = LiveSender(server, SEALER, monotonic=lambda: now[0])  # type: ignore[arg-type]
    sender.start()
    stream = sender.stream("01J", silence=60)
    for seconds in (0.0, 59.0, 61.0):
        now[0] = seconds
        sent = len(server.pipelines)
        stream.append(b"x")
        eventually(lambda: len(server.pipelines) > sent, 5)  # noqa: B023 - asked in this round
    sender.stop()
    assert [len(pipeline) for pipeline in server.pipelines] == [2, 1, 2]


def test_what_redis_did_not_take_is_sent_when_it_is_back_with_its_life(
    server: PlayedRedis, sender: LiveSender
) -> None:
    server.replies = [is_away, is_away]
    stream = sender.stream("01J", silence=60)
    stream.append(b"0")
    eventually(lambda: server.entries("01J") == [(0, 1)], 5)
    key = live.stream_key("01J")
    assert server.pipelines == [[("XADD", key, "1-0"), ("EXPIRE", key, 180)]] * 3


def test_an_entry_that_redis_had_taken_before_the_connection_broke_is_not_sent_for_ever(
    server: PlayedRedis, sender: LiveSender
) -> None:
    there_already = redis.ResponseError("The ID specified in XADD is equal or smaller than …")
    server.replies = [is_away, refuses(there_already)]
    stream = sender.stream("01J", silence=60)
    stream.append(b"0")
    eventually(lambda: len(server.pipelines) == 2, 5)
    stream.append(b"1")
    eventually(lambda: server.entries("01J") == [(1, 1)], 5)


def test_a_full_redis_gets_everything_once_it_has_room(
    server: PlayedRedis, sender: LiveSender
) -> None:
    server.replies = [refuses(OutOfMemoryError("used memory > maxmemory"))] * 2
    stream = sender.stream("01J", silence=60)
    stream.append(b"0")
    eventually(lambda: server.entries("01J") == [(0, 1)], 5)
    assert len(server.pipelines) == 3


def test_a_stream_that_redis_refuses_for_good_is_given_up_and_no_other(
    server: PlayedRedis, sender: LiveSender
) -> None:
    wrong = redis.ResponseError("WRONGTYPE Operation against a key holding the wrong kind of value")
    server.replies = [refuses(wrong)]
    bad, good = (sender.stream(job_id, silence=60) for job_id in ("01J", "01K"))
    bad.append(b"0")
    eventually(lambda: len(server.pipelines) == 1, 5)
    bad.append(b"1")
    good.append(b"0")
    eventually(lambda: server.entries("01K") == [(0, 1)], 5)
    assert server.entries("01J") == []


def test_a_defect_gives_up_the_streams_it_met_and_no_other(
    server: PlayedRedis, sender: LiveSender
) -> None:
    def breaks(_: Sequence[Command]) -> list[Any]:
        raise ValueError("a defect")

    server.replies = [breaks]
    bad, good = (sender.stream(job_id, silence=60) for job_id in ("01J", "01K"))
    bad.append(b"0")
    eventually(lambda: len(server.pipelines) == 1, 5)
    bad.append(b"1")
    good.append(b"0")
    eventually(lambda: server.entries("01K") == [(0, 1)], 5)
    assert server.entries("01J") == []


def test_a_stop_sends_what_waits_and_does_not_wait_for_a_redis_that_is_away(
    server: PlayedRedis,
) -> None:
    sender = LiveSender(server, SEALER)  # type: ignore[arg-type]
    stream = sender.stream("01J", silence=60)
    stream.append(b"0")
    sender.start()
    sender.stop()
    assert server.entries("01J") == [(0, 1)]
    server.replies = [is_away] * 100
    other = LiveSender(server, SEALER)  # type: ignore[arg-type]
    other.stream("01K", silence=60).append(b"0")
    other.start()
    other.stop()
    assert len(server.pipelines) == 2
