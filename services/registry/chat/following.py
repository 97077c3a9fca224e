"""Readers of running jobs' chunks: one blocking read a process, however many jobs are followed.

What Redis does not have (it was wiped, or is away) is no loss: whoever misses a chunk waits for the
row and goes on with the stored log.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import gevent
from gevent.event import Event
from redis import Redis
from redis.exceptions import RedisError

from shared import ids
from shared.crypto import SealBroken, Sealer
from shared.live import open_entry, position_after, stream_key

BLOCK_SECONDS: Final = 1.0  # what a wake that was lost costs a new follower at most
REST_SECONDS: Final = 0.5
ENTRIES: Final = 100  # of one stream, read at once
MOST_PENDING: Final = 262_144  # bytes that a slow client may leave waiting; then it is passed over
_WAKE_SECONDS: Final = 60  # after which the stream that only wakes is gone

logger = logging.getLogger(__name__)


@dataclass(eq=False, slots=True)
class Follow:
    """One reader of one job; `last` is the number of the last chunk that it was given.

    `lost`: chunks are missing, and only the row has them.
    """

    job_id: str
    last: int
    news: Event = field(default_factory=Event)
    lost: bool = False
    pending: int = 0
    _chunks: deque[bytes] = field(default_factory=deque)

    def give(self, chunks: list[bytes]) -> None:
        """Take these in, which follow the last."""
        self._chunks.extend(chunks)
        self.last += len(chunks)
        self.pending += sum(map(len, chunks))
        self.news.set()

    def taken(self) -> list[bytes]:
        """What came since the last time."""
        chunks = list(self._chunks)
        self._chunks.clear()
        self.pending = 0
        return chunks


class Following:
    """All follows of one process. `reader` is a client for reads of `BLOCK_SECONDS`, and ours."""

    def __init__(self, reader: Redis, waker: Redis, sealer: Sealer) -> None:
        self._redis = reader
        self._waker = waker
        self._sealer = sealer
        self._follows: dict[str, set[Follow]] = {}
        self._wake_key = f"dragoman:wake:{ids.new(ids.WORKER)}"
        self._woken = "0"
        self._reader: gevent.Greenlet | None = None
        self._failing = False
        self._waking = False

    @contextmanager
    def follow(self, job_id: str, last: int) -> Iterator[Follow]:
        """The chunks of this job behind number `last` (-1: all), as they come."""
        follow = Follow(job_id, last)
        self._follows.setdefault(job_id, set()).add(follow)
        if not self._reader:  # none yet, or one that has ended
            self._reader = gevent.spawn(self._read)
        elif not self._waking:  # one wake stands for all who came before it is sent
            self._waking = True
            gevent.spawn(self._wake)  # a frozen Redis must not hold the request up
        try:
            yield follow
        finally:
            same = self._follows[job_id]
            same.discard(follow)
            if not same:
                del self._follows[job_id]

    def _wake(self) -> None:
        """End the read under way, because it does not know of the newest follow."""
        self._waking = False
        try:
            with self._waker.pipeline(transaction=False) as pipeline:
                pipeline.xadd(self._wake_key, {"woken": 1}, maxlen=1)
                pipeline.expire(self._wake_key, _WAKE_SECONDS)
                pipeline.execute()
        except (RedisError, OSError) as fault:
            logger.debug("the read ends by itself", extra={"reason": str(fault)})

    def _read(self) -> None:
        while self._follows:
            try:
                self._turn()
            except (RedisError, OSError) as fault:
                if not self._failing:
                    logger.warning(
                        "no live chunks; stored ones are read", extra={"reason": str(fault)}
                    )
                self._failing = True
                gevent.sleep(REST_SECONDS)
            except Exception:
                logger.exception("reading live chunks failed")
                gevent.sleep(REST_SECONDS)

    def _turn(self) -> None:
        wanted = {self._wake_key: self._woken}
        for job_id, follows in self._follows.items():
            lasts = [f.last for f in follows if not f.lost and f.pending < MOST_PENDING]
            if lasts:
                wanted[stream_key(job_id)] = position_after(min(lasts))
        by_key = {stream_key(job_id): job_id for job_id in self._follows}
        block = int(BLOCK_SECONDS * 1000)
        answer: Any = self._redis.xread(wanted, count=ENTRIES, block=block)  # type: ignore[arg-type]
        if self._failing:
            self._failing = False
            logger.info("live chunks are back")
        for key, entries in answer.items() if isinstance(answer, dict) else answer or []:
            for entry_id, fields in entries:
                if key == self._wake_key:
                    self._woken = entry_id
                else:
                    self._give(by_key[key], fields)

    def _give(self, job_id: str, fields: Mapping[str, str]) -> None:
        follows = self._follows.get(job_id, ())
        try:
            entry = open_entry(self._sealer, job_id, fields)
        except SealBroken as fault:
            logger.warning("a live entry does not open", extra={"reason": str(fault)})
            for follow in follows:
                follow.lost = True
            return
        for follow in follows:
            fresh = entry.after(follow.last)
            if fresh is None:
                follow.lost = True
            elif fresh:
                follow.give(list(fresh))
