"""Outcomes that are not in the database yet, and the micro-batches that bring them there.

They wait up to ten minutes for a database that is away. The fence decides what still counts.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import Final

import sqlalchemy as sa

from shared.domain import JobState
from shared.errors import Unstorable
from shared.store import jobs
from shared.store.database import UNAVAILABLE, Database
from shared.store.jobs import Outcome, Retention

BATCH: Final = 512
KEEP_SECONDS: Final = 600.0

logger = logging.getLogger(__name__)


class Unwritten:
    """A queue of outcomes: any thread adds, the keeper's thread writes."""

    def __init__(
        self, database: Database, retention: Retention, clock: Callable[[], float]
    ) -> None:
        self._database = database
        self._retention = retention
        self._clock = clock
        self._waiting: deque[tuple[float, Outcome]] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, outcome: Outcome) -> None:
        """Keep this outcome until it is written."""
        self._waiting.append((time.monotonic(), outcome))

    def write(
        self, *, renew: Callable[[sa.Connection], None]
    ) -> Iterator[tuple[Sequence[Outcome], set[str]]]:
        """Write what waits, the lease first in each batch; yields (batch, ids still held).

        Raises what an unavailable database raises; the batch then stays.
        """
        while self._waiting:
            batch = [outcome for _, outcome in islice(self._waiting, BATCH)]
            try:
                with self._database.write() as tx:
                    renew(tx)
                    held = self._finish(tx, batch)
            except UNAVAILABLE:
                raise
            except Exception:
                logger.exception("a batch of outcomes failed; writing them one by one")
                held = self._one_by_one(batch)
            for _ in batch:
                self._waiting.popleft()
            yield batch, held

    def give_up_old(self) -> None:
        """Drop what waited for ten minutes; its job was swept long ago."""
        oldest = time.monotonic() - KEEP_SECONDS
        while self._waiting and self._waiting[0][0] < oldest:
            _, outcome = self._waiting.popleft()
            logger.error("an answer was given up", extra={"job": outcome.job_id})

    def _finish(self, tx: sa.Connection, batch: Sequence[Outcome]) -> set[str]:
        return jobs.finish(tx, batch, now=self._clock(), retention=self._retention)

    def _one_by_one(self, batch: Sequence[Outcome]) -> set[str]:
        held: set[str] = set()
        for outcome in batch:
            unstorable = replace(
                outcome,
                state=JobState.FAILED,
                result_sealed=None,
                error_sealed=None,
                error_code=Unstorable.code,
                may_have_been_billed=True,
                evidence=None,
                gate=None,
            )
            for version in (outcome, unstorable):
                try:
                    with self._database.write() as tx:
                        held |= self._finish(tx, [version])
                    break
                except UNAVAILABLE:
                    raise
                except Exception:
                    logger.exception("an outcome was not stored", extra={"job": outcome.job_id})
        return held
