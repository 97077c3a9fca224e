"""One subscription for a process: who hears what, and what happens when Redis falls silent."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gevent
import pytest
from gevent.queue import Queue
from redis.exceptions import ConnectionError as RedisAway

from services.registry import hearing as module
from services.registry.hearing import HEARTBEAT_SECONDS, Hearing

SILENCE = None
PONG = {"type": "pong", "channel": None, "data": b""}


class PlayedRedis:
    """A client and its subscription; `messages` come from there, in their order."""

    def __init__(self) -> None:
        self.messages: Queue[Any] = Queue()
        self.subscriptions = 0
        self.pings = 0

    def __enter__(self) -> PlayedRedis:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def pubsub(self) -> PlayedRedis:
        return self

    def subscribe(self, *channels: str) -> None:
        self.subscriptions += 1
        for channel in channels:
            self.messages.put({"type": "subscribe", "channel": channel.encode(), "data": 1})

    def ping(self) -> None:
        self.pings += 1

    def get_message(self, *, timeout: float) -> Any:
        assert timeout == HEARTBEAT_SECONDS
        message = self.messages.get()
        if isinstance(message, Exception):
            raise message
        return message

    def say(self, channel: str, data: bytes) -> None:
        self.messages.put({"type": "message", "channel": channel.encode(), "data": data})


class Bench:
    def __init__(self) -> None:
        self.redis = PlayedRedis()
        self.heard: list[tuple[str, bytes]] = []
        self.begun = 0
        self.hearing = Hearing(
            lambda: self.redis,  # type: ignore[arg-type,return-value]
            {"one": self._hear("one"), "two": self._hear("two"), "bad": self._break},
            on_begin=self._begin,
        )
        self.greenlet = gevent.spawn(self.hearing._run)
        gevent.idle()

    def _hear(self, channel: str) -> Any:
        return lambda data: self.heard.append((channel, data))

    def _break(self, data: bytes) -> None:
        raise ValueError(data)

    def _begin(self) -> None:
        self.begun += 1


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    monkeypatch.setattr(module, "REST_SECONDS", 0.01)
    bench = Bench()
    yield bench
    bench.greenlet.kill()


def test_each_message_goes_to_who_hears_its_channel(bench: Bench) -> None:
    bench.redis.say("two", b"2")
    bench.redis.say("one", b"1")
    gevent.idle()
    assert bench.heard == [("two", b"2"), ("one", b"1")]


def test_a_defect_of_one_ends_no_others_hearing(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.redis.say("bad", b"x")
    bench.redis.say("one", b"1")
    gevent.idle()
    assert bench.heard == [("one", b"1")]
    assert bench.redis.subscriptions == 1
    assert "not understood" in caplog.text


def test_it_is_told_once_all_channels_are_heard_and_whenever_that_begins_again(
    bench: Bench,
) -> None:
    assert (bench.redis.subscriptions, bench.begun) == (1, 1)
    bench.redis.messages.put(RedisAway("gone"))
    gevent.sleep(0.03)
    assert (bench.redis.subscriptions, bench.begun) == (2, 2)


def test_a_silent_redis_is_asked_and_left_when_it_does_not_answer(bench: Bench) -> None:
    for silent in (True, False, True):
        bench.redis.messages.put(SILENCE if silent else PONG)
        gevent.idle()
    assert (bench.redis.pings, bench.redis.subscriptions) == (2, 1)
    bench.redis.messages.put(SILENCE)
    gevent.sleep(0.03)
    assert (bench.redis.pings, bench.redis.subscriptions) == (2, 2)
