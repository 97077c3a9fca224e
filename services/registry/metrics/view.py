"""One scrape: the snapshots of this machine's processes, and the facts of the installation.

Facts are read at most every five seconds in one process, whoever asks; while the database is away
there are none, rather than old ones, and `dragoman_database_up` says so.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

import gevent
from gevent.lock import Semaphore
from redis import Redis
from redis.exceptions import RedisError

from services.registry.database import Transactions
from services.registry.metrics import facts
from shared import live
from shared.config import Settings
from shared.errors import StoreUnavailable
from shared.metrics import Fact, Folder, Publisher, page

T = TypeVar("T")

KEPT_SECONDS: Final = 5.0
PATIENCE_SECONDS: Final = 4.0  # Prometheus gives a scrape ten

# Name → help of what is a gauge without labels.
UP: Final = {
    "dragoman_database_up": "1 while the database answers.",
    "dragoman_redis_up": "1 while Redis answers.",
    "dragoman_event_stream_lag": "Events in the database that the stream in Redis does not have.",
    "dragoman_queue_limit": "Queued jobs at which submissions are refused.",
}


class Metrics:
    """What a scrape of this process is answered with."""

    def __init__(
        self,
        settings: Settings,
        transactions: Transactions,
        redis: Redis,
        publisher: Publisher,
        *,
        now: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._transactions = transactions
        self._redis = redis
        self._publisher = publisher
        self._now = now
        self._monotonic = monotonic
        self._folder = Folder(settings.metrics_dir)
        self._one_at_a_time = Semaphore()
        self._facts: Sequence[Fact] = ()
        self._read_at = float("-inf")

    def page(self) -> bytes:
        """The figures as they are now, and the facts of five seconds ago at most."""
        own = self._publisher.snapshot()
        others = [
            found
            for found in self._folder.snapshots(now=self._now())
            if found.process != own.process
        ]
        return page([own, *others], self._known())

    def _known(self) -> Sequence[Fact]:
        with self._one_at_a_time:
            if self._monotonic() - self._read_at >= KEPT_SECONDS:
                self._facts = self._read()
                self._read_at = self._monotonic()
            return self._facts

    def _read(self) -> list[Fact]:
        now = self._now()
        found = _within(lambda: self._transactions.read(lambda tx: facts.read(tx, now=now)))
        last = _within(self._last_published)
        up: dict[str, float] = {
            "dragoman_database_up": found is not None,
            "dragoman_redis_up": last is not None,
            "dragoman_queue_limit": self._settings.queue_limit,
        }
        if found is not None and last is not None:
            (events,) = (fact for fact in found if fact.name == "dragoman_events_total")
            up["dragoman_event_stream_lag"] = max(events.samples[()] - last, 0)
        return [
            *(found or ()),
            *(Fact(name, UP[name], "gauge", (), {(): float(value)}) for name, value in up.items()),
        ]

    def _last_published(self) -> int:
        if self._redis.type(live.STREAM) != "stream":
            return 0
        about: Any = self._redis.xinfo_stream(live.STREAM)
        return int(about["last-generated-id"].partition("-")[0])


def _within(ask: Callable[[], T]) -> T | None:
    try:
        with gevent.Timeout(PATIENCE_SECONDS):
            return ask()
    except (gevent.Timeout, RedisError, OSError, StoreUnavailable):
        return None
