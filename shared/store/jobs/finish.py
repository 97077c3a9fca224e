"""The ends of claims: each one conditional UPDATE, fenced by (worker, attempt).

A row that does not come back was fenced: somebody else moved the job on meanwhile. Its result is
dropped, its attempt is still written, because the money may have been spent.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from shared.domain import JobState
from shared.store.jobs import gates
from shared.store.jobs.rows import Outcome, Retention
from shared.store.jobs.submit import kept_for
from shared.store.schema import chat_job, job_attempt


def finish(
    tx: sa.Connection, outcomes: Sequence[Outcome], *, now: float, retention: Retention
) -> set[str]:
    """End these claims; returns the job ids whose row was still held, the others were fenced."""
    held: set[str] = set()
    for outcome in outcomes:
        values = _values(outcome, now=now, retention=retention)
        statement = (
            sa.update(chat_job)
            .where(
                chat_job.c.id == outcome.job_id,
                chat_job.c.state == JobState.IN_PROGRESS,
                chat_job.c.worker_id == outcome.worker_id,
                chat_job.c.attempt == outcome.attempt,
            )
            .values(values)
            .returning(chat_job.c.id)
        )
        if tx.execute(statement).first() is not None:
            held.add(outcome.job_id)
    _record(tx, outcomes, held)
    gates.apply(tx, [o.gate for o in outcomes if o.gate is not None], now=now)
    return held


def _values(outcome: Outcome, *, now: float, retention: Retention) -> dict[str, object]:
    values: dict[str, object] = {
        "state": outcome.state.value,
        "calls": chat_job.c.calls + outcome.extra_calls,
        "version": chat_job.c.version + 1,
    }
    if outcome.state is JobState.QUEUED:
        return values | {
            "worker_id": None,
            "not_before": outcome.not_before,
            "interrupts": chat_job.c.interrupts + int(outcome.interrupted),
            "last_cause": outcome.error_code,
        }
    return values | {
        "completed_at": now,
        "expires_at": now + kept_for(retention),
        "result_sealed": outcome.result_sealed,
        "error_code": outcome.error_code,
        "error_sealed": outcome.error_sealed,
        "may_have_been_billed": outcome.may_have_been_billed,
    }


def _record(tx: sa.Connection, outcomes: Iterable[Outcome], held: set[str]) -> None:
    rows = [
        {
            "job_id": outcome.job_id,
            "attempt": outcome.attempt,
            "worker_id": outcome.worker_id,
            "fenced": outcome.job_id not in held,
            **{
                name: getattr(outcome.evidence, name)
                for name in outcome.evidence.__dataclass_fields__
            },
        }
        for outcome in outcomes
        if outcome.evidence is not None
    ]
    if not rows:
        return
    insert = sqlite.insert if tx.dialect.name == "sqlite" else postgresql.insert
    # A batch that is tried again after an unclear commit must not count the money twice.
    tx.execute(insert(job_attempt).on_conflict_do_nothing(), rows)


def lost(tx: sa.Connection, held: Iterable[tuple[str, str, int]]) -> set[str]:
    """The job ids of those (job id, worker id, attempt) that no longer hold: cancelled, swept."""
    claims = list(held)
    query = sa.select(chat_job.c.id, chat_job.c.worker_id, chat_job.c.attempt).where(
        chat_job.c.id.in_([job_id for job_id, _, _ in claims]),
        chat_job.c.state == JobState.IN_PROGRESS,
    )
    still = {(row.id, row.worker_id, row.attempt) for row in tx.execute(query)}
    return {claim[0] for claim in claims if claim not in still}
