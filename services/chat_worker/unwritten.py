"""Outcomes that are not in the database yet, and the micro-batches that bring them there.

Their answers wait up to ten minutes for a database that is away, the fact of their end for ever.
The fence decides what still counts.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any, Final

import sqlalchemy as sa

from services.chat_worker.answered import Answered
from shared.crypto import Sealer
from shared.domain import JobState
from shared.errors import Unstorable
from shared.store import jobs
from shared.store.database import UNAVAILABLE, Database
from shared.store.jobs import Fence, Finished, Outcome, Retention

BATCH: Final = 512
KEEP_SECONDS: Final = 600.0
# Fields of an outcome are named for their columns.
_SEALED: Final = tuple(name for name in Outcome.__dataclass_fields__ if name.endswith("_sealed"))

logger = logging.getLogger(__name__)


class Unwritten:
    """A queue of outcomes: any thread adds, the keeper's thread writes."""

    def __init__(
        self,
        database: Database,
        sealer: Sealer,
        retention: Retention,
        clock: Callable[[], float],
    ) -> None:
        self._database = database
        self._sealer = sealer
        self._retention = retention
        self._clock = clock
        self._waiting: deque[tuple[float, Outcome]] = deque()
        self._answered = Answered()

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, outcome: Outcome) -> None:
        """Keep this outcome until it is written."""
        self._waiting.append((time.monotonic(), self._answered.judged(outcome)))

    def claims(self) -> set[Fence]:
        """The claims whose outcome waits here."""
        return {outcome.fence for _, outcome in list(self._waiting)}

    def write(
        self, *, renew: Callable[[sa.Connection], bool]
    ) -> Iterator[tuple[Sequence[Outcome], Finished]]:
        """Write what waits, the lease first in each batch; yields (batch, what became of it).

        Raises what an unavailable database raises, and whatever keeps even a bare failure from
        being stored; what was not written then stays.
        """
        while self._waiting:
            # One call in C: other threads append meanwhile.
            batch = [outcome for _, outcome in list(islice(self._waiting, BATCH))]
            try:
                with self._database.write() as tx:
                    renew(tx)
                    finished = self._finish(tx, batch)
            except UNAVAILABLE:
                self._doubt(len(batch))
                raise
            except Exception:
                logger.exception("a batch of outcomes failed; writing them one by one")
                yield from self._one_by_one(batch)
                continue
            for _ in batch:
                self._waiting.popleft()
            yield batch, finished

    def shed_old(self) -> None:
        """Give up the answers that waited for ten minutes, but not the fact of their end."""
        oldest = time.monotonic() - KEEP_SECONDS
        for place, (since, outcome) in enumerate(list(self._waiting)):
            if since >= oldest:
                break
            if outcome.result_sealed is not None:
                self._waiting[place] = (since, _unstorable(outcome))
                logger.error("an answer was given up", extra={"job": outcome.job_id})
            elif outcome.log_sealed is not None:
                self._waiting[place] = (since, replace(outcome, log_sealed=None))
                logger.error("the chunks of a failure were given up", extra={"job": outcome.job_id})

    def _doubt(self, count: int) -> None:
        """The commit of the first `count` may have arrived, although its answer did not."""
        for place, (since, outcome) in enumerate(list(islice(self._waiting, count))):
            if not outcome.doubtful:
                self._waiting[place] = (since, replace(outcome, doubtful=True))

    def _finish(self, tx: sa.Connection, batch: Sequence[Outcome]) -> Finished:
        # Inside the transaction: the key that sealed an answer minutes ago may be retired by now.
        renewed = [self._renewed(outcome) for outcome in batch]
        return jobs.finish(tx, renewed, now=self._clock(), retention=self._retention)

    def _renewed(self, outcome: Outcome) -> Outcome:
        """The outcome under the master key that is in force now."""
        changes: dict[str, Any] = {}
        for column in _SEALED:
            if (sealed := getattr(outcome, column)) is not None:
                place = {"table": jobs.TABLE, "row": outcome.job_id, "column": column}
                if (renewed := self._sealer.renewed(sealed, **place)) is not sealed:
                    changes[column] = renewed
        return replace(outcome, **changes) if changes else outcome

    def _one_by_one(self, batch: Sequence[Outcome]) -> Iterator[tuple[Sequence[Outcome], Finished]]:
        for outcome in batch:
            try:
                finished = self._alone(outcome)
            except UNAVAILABLE:
                self._doubt(1)
                raise
            except Exception:
                self._waiting.rotate(-1)  # to the end: it must not hold up the others
                raise
            self._waiting.popleft()
            yield [outcome], finished

    def _alone(self, outcome: Outcome) -> Finished:
        try:
            with self._database.write() as tx:
                return self._finish(tx, [outcome])
        except UNAVAILABLE:
            raise
        except Exception:
            logger.exception("an outcome was not stored", extra={"job": outcome.job_id})
        with self._database.write() as tx:
            return self._finish(tx, [_unstorable(outcome)])


def _unstorable(outcome: Outcome) -> Outcome:
    """The bare fact that a call ended."""
    return replace(
        outcome,
        state=JobState.FAILED,
        result_sealed=None,
        log_sealed=None,
        error_sealed=None,
        error_code=Unstorable.code,
        may_have_been_billed=True,
        evidence=None,
        gate=None,
    )
