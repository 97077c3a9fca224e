"""Readers of running jobs' chunks.

This process tells the chat workers which jobs it follows, and hears their chunks on a channel of
its own. What is missing is asked for again. What no worker has any more is no loss: whoever misses
a chunk waits for the row and goes on with the stored log.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

import gevent
from gevent.event import Event
from redis import Redis
from redis.exceptions import RedisError

from shared import live
from shared.crypto import SealBroken, Sealer

REST_SECONDS: Final = 0.5
ASK_AGAIN_SECONDS: Final = 0.5  # what was asked for may be on its way
MOST_PENDING: Final = 262_144  # bytes that a slow client may leave waiting; then it is passed over

logger = logging.getLogger(__name__)


@dataclass(eq=False, slots=True)
class Follow:
    """One reader of one job; `last` is the number of the last chunk that it was given."""

    job_id: str
    last: int
    on_room: Callable[[str], None]
    news: Event = field(default_factory=Event)
    pending: int = 0
    passed_over: bool = False
    _chunks: deque[bytes] = field(default_factory=deque)

    def give(self, entry: live.Entry) -> bool:
        """Take in what is new of these; False when some before them are missing."""
        if self.passed_over or (fresh := entry.after(self.last)) is None:
            return self.passed_over
        if not fresh:
            return True
        if self.pending >= MOST_PENDING:
            self.passed_over = True
            return True
        self._chunks.extend(fresh)
        self.last += len(fresh)
        self.pending += sum(map(len, fresh))
        self.news.set()
        return True

    def taken(self) -> list[bytes]:
        """What came since the last time."""
        chunks = list(self._chunks)
        self._chunks.clear()
        self.pending = 0
        if self.passed_over:
            self.passed_over = False
            self.on_room(self.job_id)
        return chunks


class Following:
    """All follows of one process, which workers know as the reader of this name."""

    def __init__(
        self,
        reader: str,
        sender: Redis,
        sealer: Sealer,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.channel = live.channel_of(reader)
        self._reader = reader
        self._redis = sender
        self._sealer = sealer
        self._monotonic = monotonic
        self._follows: dict[str, set[Follow]] = {}
        self._asked: dict[str, float] = {}  # when what was missing of a job was last asked for
        self._begin: set[str] = set()
        self._stop: set[str] = set()
        self._news = Event()

    def start(self) -> None:
        """Start the greenlet that tells the workers."""
        gevent.spawn(self._run)

    @contextmanager
    def follow(self, job_id: str, last: int) -> Iterator[Follow]:
        """The chunks of this job behind number `last` (-1: all), as they come."""
        follow = Follow(job_id, last, self._ask)
        self._follows.setdefault(job_id, set()).add(follow)
        self._ask(job_id)
        try:
            yield follow
        finally:
            same = self._follows[job_id]
            same.discard(follow)
            if not same:
                del self._follows[job_id]
                self._asked.pop(job_id, None)

    def hear(self, message: bytes) -> None:
        """Chunks came from a worker."""
        try:
            entries = live.open_entries(self._sealer, self._reader, message)
        except SealBroken as fault:
            logger.warning("live chunks do not open", extra={"reason": str(fault)})
            return
        for entry in entries:
            self._give(entry)

    def say_all(self) -> None:
        """Tell all workers of all follows: one asks, or what they sent may not have been heard."""
        self._asked.clear()
        self._begin.update(self._follows)
        self._news.set()

    def _give(self, entry: live.Entry) -> None:
        follows = self._follows.get(entry.job_id, ())
        heard = [follow.give(entry) for follow in follows]
        if all(follow.passed_over for follow in follows):  # or nobody is there any more
            self._stop.add(entry.job_id)
            self._news.set()
        elif not all(heard):
            asked = self._asked.get(entry.job_id)
            if asked is None or self._monotonic() >= asked + ASK_AGAIN_SECONDS:
                self._asked[entry.job_id] = self._monotonic()
                self._ask(entry.job_id)

    def _ask(self, job_id: str) -> None:
        self._begin.add(job_id)
        self._news.set()

    def _run(self) -> None:
        away = live.Away(
            logger, lost="no live chunks; stored ones are read", back="live chunks are back"
        )
        renew_at = self._monotonic() + live.RENEW_SECONDS
        while True:
            # Not in the request that began to follow: a frozen Redis must not hold that up.
            self._news.wait(max(renew_at - self._monotonic(), 0))
            self._news.clear()
            begin, self._begin = self._begin, set()
            stop, self._stop = self._stop, set()
            still: Iterable[str] = ()
            if self._monotonic() >= renew_at:
                renew_at = self._monotonic() + live.RENEW_SECONDS
                still = self._follows.keys() - begin
            said = live.Follows(
                self._reader,
                begin=self._lasts(begin),
                still=self._lasts(still),
                stop=tuple(stop - begin),
            )
            if not (said.begin or said.still or said.stop):
                continue
            try:
                self._redis.publish(live.FOLLOWS, said.message())
            except (RedisError, OSError) as fault:
                away.failed(fault)
                self._begin.update(begin)
                gevent.sleep(REST_SECONDS)
                self._news.set()
            except Exception:
                logger.exception("the workers were not told who follows")
                gevent.sleep(REST_SECONDS)
            else:
                away.worked()

    def _lasts(self, job_ids: Iterable[str]) -> dict[str, int]:
        """The number behind which each of these is followed, where it still is."""
        lasts = {}
        for job_id in job_ids:
            follows: Sequence[Follow] = [
                follow for follow in self._follows.get(job_id, ()) if not follow.passed_over
            ]
            if follows:
                lasts[job_id] = min(follow.last for follow in follows)
        return lasts
