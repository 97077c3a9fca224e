"""What nobody else does: jobs of dead workers, deadlines in the queue, results past their time.

One worker at a time runs the sweep (`store.leases.lead`); two at once would be harmless, because
every move is conditional.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import sqlalchemy as sa

from shared.domain import MAX_CALLS, MAX_LOSSES, TERMINAL, JobState, OnInterrupt
from shared.errors import DeadlineExceeded, Interrupted, Poisoned
from shared.store import deliveries, leases
from shared.store.jobs.ends import end
from shared.store.jobs.rows import Retention, Swept
from shared.store.schema import chat_job, job_attempt, provider_gate, worker

PURGE_BATCH: Final = 25  # some 7 ms of SQLite's one write lock, with what they noted
# A running call ends at its deadline by its own engine, which may keep the outcome for ten minutes
# while the database is away. What is still running long after that, nobody holds any more.
FORGOTTEN_AFTER: Final = 900.0  # seconds past the deadline

_UNHELD = sa.text(
    """
    SELECT DISTINCT worker_id FROM chat_job
    WHERE state = 'in_progress' AND NOT EXISTS (
        SELECT 1 FROM worker WHERE worker.id = chat_job.worker_id
    )
    """
)


def sweep(tx: sa.Connection, *, now: float, retention: Retention) -> Swept:
    """Act on dead workers and passed deadlines; returns what changed, by job id."""
    leases.mark_suspects(tx)
    dead = [*leases.dead_workers(tx), *tx.execute(_UNHELD).scalars()]
    requeued: list[str] = []
    ended: list[str] = []
    for worker_id in dead:
        held = sa.and_(sa.text("chat_job.state = 'in_progress'"), chat_job.c.worker_id == worker_id)
        poisoned = chat_job.c.losses + 1 >= MAX_LOSSES
        again = sa.and_(
            chat_job.c.on_interrupt == OnInterrupt.RETRY,
            chat_job.c.publishing.is_(False),
            chat_job.c.interrupts + 1 < MAX_CALLS,
        )
        ended += _fail(tx, held, poisoned, code=Poisoned.code, now=now, retention=retention)
        requeued += _requeue(tx, sa.and_(held, again))
        ended += _fail(tx, held, code=Interrupted.code, now=now, retention=retention)
    if dead:
        tx.execute(sa.delete(worker).where(worker.c.id.in_(dead)))
    ended += _expire_queued(tx, now=now, retention=retention)
    forgotten = sa.and_(
        sa.text("chat_job.state = 'in_progress'"), chat_job.c.deadline < now - FORGOTTEN_AFTER
    )
    ended += _fail(tx, forgotten, code=DeadlineExceeded.code, now=now, retention=retention)
    return Swept(workers=dead, requeued=requeued, ended=ended)


def _fail(
    tx: sa.Connection,
    *conditions: sa.ColumnElement[bool],
    code: str,
    now: float,
    retention: Retention,
) -> Sequence[str]:
    return end(
        tx,
        *conditions,
        state=JobState.FAILED,
        code=code,
        may_have_been_billed=True,
        now=now,
        retention=retention,
        losses=chat_job.c.losses + 1,
    )


def _requeue(tx: sa.Connection, condition: sa.ColumnElement[bool]) -> Sequence[str]:
    statement = (
        sa.update(chat_job)
        .where(condition)
        .values(
            state=JobState.QUEUED,
            worker_id=None,
            losses=chat_job.c.losses + 1,
            interrupts=chat_job.c.interrupts + 1,
            last_cause=Interrupted.code,
            version=chat_job.c.version + 1,
        )
        .returning(chat_job.c.id)
    )
    return tx.execute(statement).scalars().all()


def _expire_queued(tx: sa.Connection, *, now: float, retention: Retention) -> Sequence[str]:
    gate = (
        sa.select(provider_gate.c.cause)
        .where(provider_gate.c.provider_id == chat_job.c.provider_id)
        .scalar_subquery()
    )
    return end(
        tx,
        sa.text("chat_job.state = 'queued'"),
        chat_job.c.deadline <= now,
        state=JobState.FAILED,
        code=DeadlineExceeded.code,
        may_have_been_billed=chat_job.c.interrupts > 0,
        now=now,
        retention=retention,
        # A job that only ever waited was held by what closed the gate for another one.
        last_cause=sa.func.coalesce(chat_job.c.last_cause, gate),
    )


def release_held(tx: sa.Connection, worker_id: str) -> Sequence[str]:
    """Return what a stopping worker still holds to the queue, uncounted: it was never begun."""
    statement = (
        sa.update(chat_job)
        .where(sa.text("chat_job.state = 'in_progress'"), chat_job.c.worker_id == worker_id)
        .values(
            state=JobState.QUEUED,
            worker_id=None,
            calls=chat_job.c.calls - 1,
            version=chat_job.c.version + 1,
        )
        .returning(chat_job.c.id)
    )
    return tx.execute(statement).scalars().all()


def purge(tx: sa.Connection, *, now: float) -> int:
    """Delete up to PURGE_BATCH ended jobs past their time, with their attempts; returns how many.

    A job whose webhook is still to be delivered stays.
    """
    expired = (
        sa.select(chat_job.c.id)
        .where(
            chat_job.c.expires_at <= now,
            chat_job.c.state.in_(TERMINAL),
            ~deliveries.is_open(chat_job.c.id),
        )
        .order_by(chat_job.c.expires_at)  # or PostgreSQL looks at all that are past it first
        .limit(PURGE_BATCH)
    )
    job_ids = tx.execute(expired).scalars().all()
    if job_ids:
        # The rows first: late outcomes that are being written are waited for there.
        tx.execute(sa.delete(chat_job).where(chat_job.c.id.in_(job_ids)))
        tx.execute(sa.delete(job_attempt).where(job_attempt.c.job_id.in_(job_ids)))
        deliveries.forget(tx, job_ids)
    return len(job_ids)
