"""How rows end that no outcome of a worker ends: one UPDATE, and their webhooks opened."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from shared.domain import JobState
from shared.store import deliveries
from shared.store.jobs.rows import Retention
from shared.store.schema import chat_job


def end(
    tx: sa.Connection,
    *conditions: sa.ColumnElement[bool] | sa.TextClause,
    state: JobState,
    code: str,
    may_have_been_billed: sa.ColumnElement[bool] | bool,
    now: float,
    retention: Retention,
    **more: Any,
) -> Sequence[str]:
    """End the jobs that meet the conditions, and open their deliveries; returns their ids.

    `more` are further columns to set.
    """
    kept_for = sa.case((chat_job.c.store, retention.stored), else_=retention.unstored)
    statement = (
        sa.update(chat_job)
        .where(*conditions)
        .values(
            state=state,
            error_code=code,
            may_have_been_billed=may_have_been_billed,
            completed_at=now,
            expires_at=now + kept_for,
            version=chat_job.c.version + 1,
            **more,
        )
        .returning(chat_job.c.id, chat_job.c.webhook_sealed.is_not(None))
    )
    ended = tx.execute(statement).all()
    deliveries.open_for(tx, [job_id for job_id, hooked in ended if hooked], now=now)
    return [job_id for job_id, _ in ended]
