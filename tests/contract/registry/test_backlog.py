"""A queue that is full refuses at once, and says when to come again."""

from __future__ import annotations

import gevent
import pytest
from gevent.event import Event

from services.registry.chat.backlog import Backlog
from shared.errors import QueueFull, StoreUnavailable
from tests.contract.registry.conftest import Registry


class Queue:
    """A backlog over as many queued jobs as the test says."""

    def __init__(self, limit: int) -> None:
        self.queued = 0
        self.now = 100.0
        self.counts = 0
        self.away = False
        self.answers = Event()  # while it is clear, a count takes
        self.answers.set()
        self.backlog = Backlog(self, limit, monotonic=lambda: self.now)  # type: ignore[arg-type]

    def read(self, _work: object) -> int:
        self.counts += 1
        self.answers.wait()
        if self.away:
            raise StoreUnavailable("It is away.")
        return self.queued

    def refusal(self) -> QueueFull | None:
        return self.backlog.refusal()


def test_there_is_room_up_to_the_limit_and_not_one_more() -> None:
    queue = Queue(limit=3)
    for _ in range(3):
        assert queue.refusal() is None
        queue.backlog.accepted()
    refused = queue.refusal()
    assert refused is not None
    assert (refused.status, refused.code) == (429, "queue_full")
    assert queue.counts == 1  # what was accepted since is known without counting


def test_the_rows_are_counted_again_after_a_second() -> None:
    queue = Queue(limit=3)
    queue.queued = 3
    assert queue.refusal() is not None
    queue.queued = 0
    queue.now += 0.5
    assert queue.refusal() is not None
    queue.now += 0.5
    assert queue.refusal() is None


def test_many_at_once_after_a_quiet_time_are_judged_by_one_new_count() -> None:
    queue = Queue(limit=3)
    queue.queued = 3
    assert queue.refusal() is not None
    queue.queued = 0
    queue.answers.clear()
    queue.now += 3_600
    together = [gevent.spawn(queue.refusal) for _ in range(5)]
    gevent.sleep(0)  # all have asked
    queue.answers.set()
    assert [one.get() for one in together] == [None] * 5
    assert queue.counts == 2


def test_a_database_that_is_away_is_no_full_queue_and_told_to_all_who_wait() -> None:
    """They waited for the count, then each for its own transaction, behind each other: 37 s."""
    queue = Queue(limit=3)
    queue.queued = 3
    assert queue.refusal() is not None
    queue.away = True
    queue.answers.clear()
    queue.now += 1
    waiting = [gevent.spawn(queue.refusal) for _ in range(3)]
    gevent.sleep(0)
    queue.now += 10  # a second is over, and no second count begins beside the first
    waiting.append(gevent.spawn(queue.refusal))
    gevent.sleep(0)
    queue.answers.set()
    for one in waiting:
        with pytest.raises(StoreUnavailable, match="It is away"):
            one.get()
    assert queue.counts == 2
    queue.away, queue.queued = False, 0
    assert queue.refusal() is None  # asked anew, not a second later
    assert queue.counts == 3


def test_retry_after_follows_from_the_rate_at_which_jobs_leave() -> None:
    queue = Queue(limit=1_000)
    queue.queued = 1_000
    refused = queue.refusal()
    assert refused is not None
    assert refused.retry_after == 120  # nothing was seen to leave yet
    for _ in range(60):  # ten a second leave, and ten others come
        queue.now += 1
        queue.refusal()
        for _ in range(10):
            queue.backlog.accepted()
    queue.now += 1
    refused = queue.refusal()
    assert refused is not None
    assert refused.retry_after == pytest.approx(5, rel=0.1)  # 5 % of room at ten a second


def test_counting_reads_the_queued_rows(registry: Registry, slug: str) -> None:
    backlog = Backlog(registry.parts.transactions, 1)
    registry.submit(f"{slug}/m")
    assert backlog.refusal() is not None
