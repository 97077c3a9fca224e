"""Followers of running jobs: what workers are told, and what becomes of what they send."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import gevent
import pytest
from redis.exceptions import ConnectionError as RedisAway

from services.registry.chat import following as module
from services.registry.chat.following import Follow, Following
from shared.crypto import Sealer
from shared.keyring import Keyring
from shared.live import RENEW_SECONDS, Entry, Follows, follows_of, seal_entries

SEALER = Sealer(Keyring.generate())


class PlayedRedis:
    """Notes what is said; away while `fault` is set."""

    def __init__(self) -> None:
        self.said: list[Follows] = []
        self.fault: Exception | None = None

    def publish(self, channel: str, message: bytes) -> int:
        assert channel == "dragoman:follows"
        if self.fault is not None:
            raise self.fault
        self.said.append(follows_of(message))
        return 1


class Bench:
    """The followers of one process, and a worker that is not there."""

    def __init__(self) -> None:
        self.now = 0.0
        self.redis = PlayedRedis()
        self.following = Following("r", self.redis, SEALER, monotonic=lambda: self.now)  # type: ignore[arg-type]
        self.greenlet = gevent.spawn(self.following._run)
        self._follows = ExitStack()

    def follow(self, job_id: str, last: int = -1) -> Follow:
        return self._follows.enter_context(self.following.follow(job_id, last))

    def send(self, job_id: str, first: int, *chunks: bytes) -> None:
        """A worker sends these chunks."""
        self.following.hear(seal_entries(SEALER, "r", [Entry(job_id, first, chunks)]))

    def said(self) -> list[Follows]:
        """What was said since the last look."""
        gevent.idle()
        said, self.redis.said = self.redis.said, []
        return said

    def close(self) -> None:
        self._follows.close()
        self.greenlet.kill()


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    bench.close()


def test_all_who_begin_to_follow_together_are_told_of_once(bench: Bench) -> None:
    for name in "abc":
        bench.follow(name)
    bench.follow("a", 7)
    assert bench.said() == [Follows("r", begin={"a": -1, "b": -1, "c": -1})]


def test_who_is_gone_before_it_is_told_is_not_told_of(bench: Bench) -> None:
    with bench.following.follow("a", -1):
        pass
    assert bench.said() == []


def test_each_follower_gets_what_follows_his_last_chunk(bench: Bench) -> None:
    begins, resumes = bench.follow("a"), bench.follow("a", 1)
    bench.send("a", 0, b"0", b"1", b"2")
    assert (begins.taken(), resumes.taken()) == ([b"0", b"1", b"2"], [b"2"])
    bench.send("a", 1, b"1", b"2", b"3")  # again, and more
    assert (begins.taken(), resumes.taken()) == ([b"3"], [b"3"])
    assert begins.news.is_set()


def test_a_gap_is_asked_for_and_filled_while_others_go_on(bench: Bench) -> None:
    misses, has = bench.follow("a"), bench.follow("a", 4)
    bench.said()
    bench.send("a", 5, b"5")
    assert (misses.taken(), has.taken()) == ([], [b"5"])
    assert bench.said() == [Follows("r", begin={"a": -1})]
    bench.send("a", 6, b"6")  # before the answer came: it is on its way
    assert bench.said() == []
    bench.send("a", 0, *(b"%d" % number for number in range(7)))
    assert misses.taken() == [b"0", b"1", b"2", b"3", b"4", b"5", b"6"]
    assert has.taken() == [b"6"]


def test_a_gap_that_stays_is_asked_for_again(bench: Bench) -> None:
    bench.follow("a")
    bench.said()
    for _ in range(2):
        bench.send("a", 5, b"5")
        assert len(bench.said()) == 1
        bench.now += module.ASK_AGAIN_SECONDS


def test_follows_are_renewed_with_where_they_are(bench: Bench) -> None:
    follow = bench.follow("a")
    bench.send("a", 0, b"0", b"1")
    bench.said()
    bench.now += RENEW_SECONDS
    bench.follow("b")
    assert bench.said() == [Follows("r", begin={"b": -1}, still={"a": 1})]
    assert follow.last == 1


def test_whoever_asks_is_told_of_all(bench: Bench) -> None:
    bench.follow("a", 3)
    bench.follow("b")
    bench.said()
    bench.following.say_all()
    assert bench.said() == [Follows("r", begin={"a": 3, "b": -1})]


def test_what_redis_did_not_take_is_said_when_it_is_back(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "REST_SECONDS", 0.005)
    bench.redis.fault = RedisAway("gone")
    bench.follow("a")
    assert bench.said() == []
    bench.redis.fault = None
    gevent.sleep(0.02)  # the rest
    assert bench.said() == [Follows("r", begin={"a": -1})]


def test_a_defect_does_not_silence_the_process_for_good(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "REST_SECONDS", 0.005)
    bench.redis.fault = ValueError("a defect")
    bench.follow("a")
    assert bench.said() == []
    bench.redis.fault = None
    gevent.sleep(0.02)  # the rest
    bench.follow("b")
    assert bench.said() == [Follows("r", begin={"b": -1})]
    assert "were not told" in caplog.text


def test_a_worker_that_sends_what_nobody_follows_is_told_to_stop(bench: Bench) -> None:
    bench.send("a", 0, b"0")
    assert bench.said() == [Follows("r", stop=("a",))]


def test_a_slow_client_is_passed_over_and_goes_on_where_he_was(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_PENDING", 3)
    follow = bench.follow("a")
    bench.said()
    bench.send("a", 0, b"00", b"11")
    bench.send("a", 2, b"22")
    assert follow.pending == 4
    assert bench.said() == [Follows("r", stop=("a",))]
    bench.now += RENEW_SECONDS
    bench.following.say_all()
    assert bench.said() == []  # there is nobody who has room
    assert follow.taken() == [b"00", b"11"]
    assert bench.said() == [Follows("r", begin={"a": 1})]
    bench.send("a", 2, b"22", b"33")
    assert follow.taken() == [b"22", b"33"]


def test_a_slow_client_holds_up_no_other_of_the_same_job(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_PENDING", 3)
    slow, quick = bench.follow("a"), bench.follow("a")
    bench.said()
    for number in range(4):
        bench.send("a", number, b"%d%d" % (number, number))
        assert len(quick.taken()) == 1
    assert bench.said() == []
    assert slow.taken() == [b"00", b"11"]


def test_what_does_not_open_is_logged_and_dropped(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    follow: Any = bench.follow("a")
    bench.following.hear(b"v1.none.of ours")
    bench.send("a", 0, b"0")
    assert follow.taken() == [b"0"]
    assert "do not open" in caplog.text
