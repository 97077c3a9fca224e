"""What the keeper does beside claiming: jobs of dead workers, passed deadlines, old results.

An error here is told in the log and ends nothing else: the duty is tried again when it is next due,
and claims go on meanwhile.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from services.chat_worker.incarnation import Incarnation
from shared.store import jobs, leases, usage
from shared.store.database import UNAVAILABLE, Database, reason_of
from shared.store.jobs import Retention, Swept

SWEEP_LEADER: Final = "sweep"
LONGEST_SWEEP_PAUSE: Final = 2.0  # seconds between two sweeps, or a quarter of the lease

logger = logging.getLogger(__name__)


class Reporter(Protocol):
    """Who wants to know what was committed."""

    def ended(self, job_ids: Sequence[str], *, hooked: bool) -> None:
        """These jobs are terminal now; `hooked`: the webhook of one may be due."""

    def more_work(self) -> None:
        """A full batch was claimed, or the last place is taken: others may find work, too."""

    def resting(self) -> None:
        """The bell may ring again; ring the keeper once it may."""

    def fenced(self, job_ids: Sequence[str]) -> None:
        """How calls of these jobs ended came too late."""

    def swept(self, swept: Swept) -> None:
        """What a sweep found."""


class Tidying:
    """The duties of one keeper's thread; `wanted` asks for a purge, from any thread."""

    def __init__(
        self,
        database: Database,
        incarnation: Incarnation,
        *,
        lease_seconds: float,
        retention: Retention,
        reporter: Reporter,
        clock: Callable[[], float],
    ) -> None:
        self.wanted = False
        self._database = database
        self._incarnation = incarnation
        self._lease = lease_seconds
        self._retention = retention
        self._reporter = reporter
        self._clock = clock
        self._swept_at = float("-inf")  # by the monotonic clock

    def turn(self) -> bool:
        """Do what is due; True when jobs went back to the queue."""
        requeued = False
        now = time.monotonic()
        if now - self._swept_at >= min(LONGEST_SWEEP_PAUSE, self._lease / 4):
            self._swept_at = now
            requeued = self._guarded("sweep", self._sweep)
        if self.wanted:
            self.wanted = self._guarded("purge", self._purge_batch)
        return requeued

    def _guarded(self, name: str, duty: Callable[[], bool]) -> bool:
        try:
            return duty()
        except UNAVAILABLE as fault:  # a lock that is held for long, or an outage: claims find out
            extra = {"duty": name, "reason": reason_of(fault)}
            logger.warning("a duty waits for the database", extra=extra)
        except Exception:
            logger.exception("a duty failed; claims go on", extra={"duty": name})
        return False

    def _sweep(self) -> bool:
        with self._database.write() as tx:
            holder, seconds = self._incarnation.worker_id, min(10.0, self._lease)
            if not leases.lead(tx, SWEEP_LEADER, holder=holder, seconds=seconds):
                return False
            swept = jobs.sweep(tx, now=self._clock(), retention=self._retention)
        _tell(swept)
        self._reporter.swept(swept)
        self._reporter.ended(swept.ended, hooked=bool(swept.ended))
        return bool(swept.requeued)

    def _purge_batch(self) -> bool:
        """One short transaction; True when there may be more to do."""
        with self._database.write() as tx:
            if jobs.purge(tx, now=self._clock()):
                return True
        with self._database.write() as tx:
            return usage.purge(tx, now=self._clock())


def _tell(swept: Swept) -> None:
    if swept.workers:
        logger.warning("swept dead workers", extra={"workers": list(swept.workers)})
    if swept.requeued:
        logger.info("jobs of dead workers wait again", extra={"jobs": list(swept.requeued)})
    if swept.ended:
        extra = {"jobs": list(swept.ended)}
        logger.info("jobs ended of which no worker told the end", extra=extra)
