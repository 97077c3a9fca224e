"""What owners and waiting requests read of a job."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import sqlalchemy as sa

from shared.domain import GateReason, JobState
from shared.store.jobs.rows import Job
from shared.store.prepared import Prepared
from shared.store.schema import chat_job, provider, provider_gate, webhook_delivery

POSITION_LIMIT: Final = 1_000

# Those of the job's fields that are no columns of its own row.
_ELSEWHERE: Final[Mapping[str, sa.ColumnElement[Any]]] = {
    "provider_slug": provider.c.slug,
    "provider_enabled": provider.c.enabled,
    "provider_limit": provider.c.max_concurrency,
    "gate_reason": provider_gate.c.reason,
    "gate_closed_until": provider_gate.c.closed_until,
    "gate_cause": provider_gate.c.cause,
    "webhook": chat_job.c.webhook_sealed.is_not(None),
    "webhook_status": webhook_delivery.c.status,
    "webhook_tries": webhook_delivery.c.attempts,
}
_FIELDS: Final = tuple(Job.__struct_fields__)
_STATE: Final = _FIELDS.index("state")
_GATE_REASON: Final = _FIELDS.index("gate_reason")
SHOWN: Final = (
    sa.select(
        *[
            _ELSEWHERE[name].label(name) if name in _ELSEWHERE else chat_job.c[name]
            for name in _FIELDS
        ]
    )
    .join(provider, provider.c.id == chat_job.c.provider_id)
    .outerjoin(
        provider_gate,
        sa.and_(
            provider_gate.c.provider_id == chat_job.c.provider_id,
            provider_gate.c.provider_revision == provider.c.revision,
        ),
    )
    .outerjoin(webhook_delivery, webhook_delivery.c.job_id == chat_job.c.id)
)
_STATES: Final = sa.select(chat_job.c.id, chat_job.c.state, chat_job.c.version).where(
    chat_job.c.id.in_(sa.bindparam("job_ids", expanding=True))
)
_BY_ID: Final = Prepared(SHOWN.where(chat_job.c.id == sa.bindparam("job_id")))
_OWNER: Final = _FIELDS.index("owner")


def get(tx: sa.Connection, job_id: str, *, owner: str | None) -> Job | None:
    """The job of this owner (None: of any owner), or None."""
    row = _BY_ID.first(tx, {"job_id": job_id})
    if row is None or owner not in (None, row[_OWNER]):
        return None
    return job_of(row)


def job_of(row: Sequence[Any]) -> Job:
    """The job in one row of `SHOWN`."""
    values = list(row)
    values[_STATE] = JobState(values[_STATE])
    if (reason := values[_GATE_REASON]) is not None:
        values[_GATE_REASON] = GateReason(reason)
    return Job(*values)


def states(tx: sa.Connection, job_ids: Iterable[str]) -> Mapping[str, tuple[JobState, int]]:
    """State and version of each of these jobs that still exists."""
    rows = tx.execute(_STATES, {"job_ids": list(job_ids)})
    return {row.id: (JobState(row.state), row.version) for row in rows}


# The conditions are repeated literally: only so do the partial indexes serve them.
_AHEAD: Final = Prepared(
    sa.select(sa.func.count()).select_from(
        sa.select(sa.literal_column("1"))
        .select_from(chat_job)
        .where(
            sa.text("chat_job.state = 'queued'"),
            chat_job.c.provider_id == sa.bindparam("provider_id"),
            chat_job.c.id < sa.bindparam("job_id"),
        )
        .limit(sa.literal_column(str(POSITION_LIMIT)))
        .subquery()
    )
)
_QUEUED: Final = sa.text(
    "SELECT count(*) FROM (SELECT 1 FROM chat_job WHERE state = 'queued' LIMIT :most) AS waiting"
)
_RUNNING: Final = Prepared(
    sa.select(sa.func.count())
    .select_from(chat_job)
    .where(
        sa.text("chat_job.state = 'in_progress'"),
        chat_job.c.provider_id == sa.bindparam("provider_id"),
    )
)


def queue_position(tx: sa.Connection, job: Job) -> int | None:
    """How many queued jobs of the same provider are ahead, plus one; None beyond 1,000.

    An estimate by nature: other providers' jobs do not count, because each provider's lane moves
    by itself.
    """
    place = {"provider_id": job.provider_id, "job_id": job.id}
    ((count,),) = _AHEAD.all(tx, place)
    return None if count >= POSITION_LIMIT else int(count) + 1


def queued(tx: sa.Connection, *, most: int) -> int:
    """How many jobs are queued, counted up to `most`."""
    return int(tx.execute(_QUEUED, {"most": most}).scalar_one())


def running_of(tx: sa.Connection, provider_id: str) -> int:
    """How many calls to this provider are under way."""
    ((count,),) = _RUNNING.all(tx, {"provider_id": provider_id})
    return int(count)
