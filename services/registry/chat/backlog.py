"""How many jobs wait, and whether one more is taken (`queue_full`).

The rows are counted once a second at most; in between this process adds what it accepted. So the
limit is kept to within what all processes accept in a second.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from gevent.event import Event

from services.registry.database import Transactions
from shared.errors import QueueFull, StoreUnavailable
from shared.store import jobs

COUNT_SECONDS: Final = 1.0
ROOM: Final = 0.05  # of the limit: what should be free before a refused client comes again
LONGEST_WAIT: Final = 120.0  # seconds
SMOOTHING: Final = 0.3  # weight of the newest rate


class Backlog:
    """The queue as one process knows it; at most `limit` jobs may wait."""

    def __init__(
        self,
        transactions: Transactions,
        limit: int,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._transactions = transactions
        self._limit = limit
        self._monotonic = monotonic
        self._queued = 0
        self._accepted = 0  # since the count
        self._counted_at = float("-inf")
        self._rate = 0.0  # jobs a second that left the queue
        self._away: StoreUnavailable | None = None  # what the last count met
        self._known = Event()  # clear while the rows are counted
        self._known.set()

    def refusal(self) -> QueueFull | None:
        """Why no further job is taken now; None while there is room. Raises StoreUnavailable."""
        if not self._known.is_set():
            # After a quiet time the number is as old as that, and the first of many counts anew.
            self._known.wait()
            if self._away is not None:
                # Their own transactions would wait as long once more, and for each other.
                raise StoreUnavailable(self._away.message, retry_after=self._away.retry_after)
        elif (elapsed := self._monotonic() - self._counted_at) >= COUNT_SECONDS:
            self._known.clear()
            try:
                self._count(elapsed)
            finally:
                self._known.set()
        waiting = self._queued + self._accepted
        if waiting < self._limit:
            return None
        seconds = LONGEST_WAIT
        if self._rate > 0:
            seconds = min(max((waiting - self._limit * (1 - ROOM)) / self._rate, 1), LONGEST_WAIT)
        return QueueFull(
            f"Expected fewer than {self._limit} queued jobs, got {waiting}. Try again in "
            f"{seconds:.0f} s.",
            retry_after=seconds,
        )

    def accepted(self) -> None:
        """One more job is queued."""
        self._accepted += 1

    def _count(self, elapsed: float) -> None:
        before, accepted, now = self._queued, self._accepted, self._monotonic()
        try:
            self._queued = self._transactions.read(lambda tx: jobs.queued(tx, most=self._limit + 1))
        except StoreUnavailable as away:
            self._away = away
            raise
        self._away, self._counted_at = None, now
        self._accepted -= accepted
        left = max(before + accepted - self._queued, 0)
        if before:
            self._rate += SMOOTHING * (left / elapsed - self._rate)
