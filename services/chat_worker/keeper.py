"""The database thread: one loop that renews the lease, writes how calls ended and claims more.

It turns on a ring, on a finished call, on freed capacity, and every second by itself: correctness
needs neither Redis nor beat. A database that is away stops the claiming only; calls go on, and
their outcomes are kept and written when it is back.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Iterable
from typing import Final

from services.chat_worker.engine import Engine
from services.chat_worker.incarnation import Incarnation
from services.chat_worker.outage import Outage
from services.chat_worker.tidying import SWEEP_LEADER, Reporter, Tidying
from services.chat_worker.unpublished import Unpublished
from services.chat_worker.unwritten import Unwritten
from shared.crypto import Sealer
from shared.domain import JobState
from shared.store import jobs
from shared.store.database import UNAVAILABLE, Database
from shared.store.jobs import Fence, Outcome, Retention

CLAIM_BATCH: Final = 256
TURN_SECONDS: Final = 1.0  # ± 20 %, so that workers do not look in step
SETTLE_SECONDS: Final = 0.010  # how long a claim waits for 5 % of the places to be free
REST_AFTER_DEFECT: Final = 1.0

logger = logging.getLogger(__name__)


class Keeper:
    """Owns this worker's row, its claims and its unwritten outcomes."""

    def __init__(
        self,
        *,
        database: Database,
        sealer: Sealer,
        engine: Engine,
        lease_seconds: float,
        retention: Retention,
        reporter: Reporter,
        clock: Callable[[], float] = time.time,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.turns = 0
        self._database = database
        self._engine = engine
        self._lease = lease_seconds
        self._retention = retention
        self._reporter = reporter
        self._clock = clock
        self._jitter = jitter
        self._incarnation = Incarnation(database, lease_seconds)
        self._unwritten = Unwritten(database, sealer, retention, clock)
        self._unpublished = Unpublished(database)
        self._wake = threading.Condition()
        self._rung = True
        self._bell = False  # whether the bell is ours: nobody rings until we rest
        self._told = False  # by the bell, since the last look, that there is work
        self._served = ""  # the owner of the job that was claimed last
        self._claiming = True
        self._claim_lock = threading.Lock()  # held from the claim to the hand-over
        self._stopping = False
        self._tidying = Tidying(
            database,
            self._incarnation,
            lease_seconds=lease_seconds,
            retention=retention,
            reporter=reporter,
            clock=clock,
        )
        self._suspicious = False
        self._checked_at = float("-inf")  # by the monotonic clock
        self._outage = Outage()
        self._thread = threading.Thread(target=self._run, name="keeper", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def unwritten(self) -> int:
        """How many ends of calls wait for the database."""
        return len(self._unwritten)

    def ring(self, *, bell: bool = False) -> None:
        """There may be work to claim. With the `bell` itself this keeper looks until it rests.

        To hear a bell costs ten times as much as a look, and a busy keeper looks all the time.
        """
        with self._wake:
            self._rung = True
            self._bell = self._bell or bell
            self._told = self._told or bell
            self._wake.notify()

    def take(self, outcomes: Iterable[Outcome]) -> None:
        """Write how these claims ended, soon."""
        with self._wake:
            for outcome in outcomes:
                self._unwritten.add(outcome)
            self._wake.notify()

    def publish(self, claims: Iterable[Fence]) -> None:
        """Note that readers may see these calls' chunks, and tell the engine when it is durable."""
        with self._wake:
            for claim in claims:
                self._unpublished.add(claim)
            self._wake.notify()

    def purge(self) -> None:
        """Delete results past their time, soon."""
        with self._wake:
            self._tidying.wanted = True
            self._wake.notify()

    def look_for_lost(self) -> None:
        """Some running job may have been cancelled: look now instead of within a second."""
        with self._wake:
            self._suspicious = True
            self._wake.notify()

    def stop_claiming(self) -> None:
        """Claim nothing more; returns when no claim is under way. The rest goes on."""
        self._claiming = False
        with self._claim_lock:
            return

    def stop(self) -> None:
        """Write what is unwritten, take this worker off the list, end the thread."""
        with self._wake:
            self._stopping = True
            self._wake.notify()
        self._thread.join(timeout=30)

    def _run(self) -> None:
        while True:
            more = False
            try:
                more = self._turn()
                self._outage.note_end()
                if self._stopping and not self._unwritten:
                    self._incarnation.leave(duty=SWEEP_LEADER)
                    return
            except UNAVAILABLE as fault:
                self._note_away(fault)
                if self._stopping and self._outage.is_long:
                    logger.error(
                        "stopping without the database; the sweep will act on what is unwritten",
                        extra={"outcomes": len(self._unwritten)},
                    )
                    return
            except Exception:
                logger.exception("a turn of the keeper failed")
                with self._wake:  # whatever waits to be done would make it turn at once
                    self._wake.wait(REST_AFTER_DEFECT)
            self.turns += 1
            if not more:
                self._rest()

    def _rest(self) -> None:
        with self._wake:
            if self._bell and not self._pending():
                self._bell = False
                self._reporter.resting()
            if self._outage.lasts:
                self._wake.wait(self._outage.rest_seconds)
            else:
                due = TURN_SECONDS * (0.8 + 0.4 * self._jitter())
                if self._engine.running:  # a lost notice of a cancel costs a second, not two
                    due = min(due, max(self._checked_at + TURN_SECONDS - time.monotonic(), 0.01))
                self._wake.wait_for(self._pending, min(due, self._lease / 4))

    def _pending(self) -> bool:
        claimable = self._rung and self._claiming and self._engine.free > 0
        waiting = self._unwritten or self._unpublished
        return bool(
            self._stopping or waiting or claimable or self._tidying.wanted or self._suspicious
        )

    def _turn(self) -> bool:
        """One round; True when the next should follow at once."""
        self._rung = False
        if self._incarnation.keep() is Incarnation.REBORN:
            self._engine.cut_off_retryable()
        self._publish()  # first: readers wait for these calls' first chunks
        self._write()
        now = time.monotonic()
        if now - self._checked_at >= TURN_SECONDS or self._suspicious:
            self._checked_at, self._suspicious = now, False
            self._reconcile()
        self._rung = self._tidying.turn() or self._rung
        return self._claim()

    def _publish(self) -> None:
        if not self._unpublished:
            return
        held, lost = self._unpublished.write(renew=self._incarnation.renew)
        self._engine.publish(held)
        self._engine.abandon(lost)

    def _write(self) -> None:
        for batch, finished in self._unwritten.write(renew=self._incarnation.renew):
            held = finished.held
            self._reporter.ended(
                [o.job_id for o in batch if o.fence in held and o.state is not JobState.QUEUED],
                hooked=finished.hooked,
            )
            late = [o for o in batch if o.fence not in held and o.state is not JobState.CANCELLED]
            if fenced := [o.job_id for o in late]:
                logger.warning("results came too late and were dropped", extra={"jobs": fenced})
                self._reporter.fenced(fenced)
            self._rung = True  # places are free, or rows went back to the queue

    def _reconcile(self) -> None:
        """Bring the rows and the calls under way in line.

        A call whose row is not ours any more is closed. A row that is ours without a call comes
        from a claim whose commit arrived and whose answer did not: it was never begun.
        """
        worker_id = self._incarnation.worker_id
        with self._database.read() as tx:
            rows = jobs.held_by(tx, worker_id)
            # In this order: an outcome is told before its claim leaves the engine.
            calls = self._engine.held()
            lost = jobs.lost(tx, (fence for fence in calls if fence not in rows))
        self._engine.abandon(lost)
        for fence in rows - calls - self._unwritten.claims():
            logger.warning("released an unknown claim", extra={"job": fence[0]})
            self._unwritten.add(Outcome(*fence, state=JobState.QUEUED, extra_calls=-1))

    def _claim(self) -> bool:
        if self._told_to_stop() or (want := self._places()) <= 0:
            return False
        if not self._may_be_work():
            return False
        with self._claim_lock:
            if self._told_to_stop():
                return False
            with self._database.write() as tx:
                # In the same transaction, so that nothing is claimed for a worker given up.
                if not self._incarnation.renew(tx):
                    return True
                claimed = jobs.claim(
                    tx,
                    worker_id=self._incarnation.worker_id,
                    want=want,
                    now=self._clock(),
                    retention=self._retention,
                    turn=self._served,
                )
            if claimed:
                self._served = claimed[-1].owner
            self._engine.begin(claimed)
        if len(claimed) == CLAIM_BATCH or (self._bell and self._engine.free <= 0):
            self._bell = False
            self._reporter.more_work()
        return len(claimed) == want

    def _may_be_work(self) -> bool:
        """Whether a claim is worth the write lock that it takes, found or not."""
        told, self._told = self._told, False
        if told:
            return True
        with self._database.read() as tx:
            return jobs.has_work(tx)

    def _told_to_stop(self) -> bool:
        return self._stopping or not self._claiming

    def _places(self) -> int:
        """How many jobs to claim; small change is saved up for one statement."""
        enough = min(CLAIM_BATCH, max(1, self._engine.concurrency // 20))
        if 0 < self._engine.free < enough:
            with self._wake:
                self._wake.wait_for(
                    lambda: self._stopping or self._engine.free >= enough, SETTLE_SECONDS
                )
        return min(CLAIM_BATCH, self._engine.free)

    def _note_away(self, fault: Exception) -> None:
        self._outage.note(fault)
        if self._incarnation.lease_is_over():
            self._engine.cut_off_retryable()
        self._unwritten.shed_old()
