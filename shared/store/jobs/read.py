"""What owners and waiting requests read of a job."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import sqlalchemy as sa

from shared.domain import GateReason, JobState
from shared.store.jobs.rows import Job
from shared.store.schema import chat_job, provider, provider_gate, webhook_delivery

POSITION_LIMIT: Final = 1_000

_JOINED = ("provider_slug", "provider_enabled", "provider_limit", "gate_", "webhook")
_JOB = [chat_job.c[name] for name in Job.__dataclass_fields__ if not name.startswith(_JOINED)]
SHOWN = (
    sa.select(
        *_JOB,
        provider.c.slug.label("provider_slug"),
        provider.c.enabled.label("provider_enabled"),
        provider.c.max_concurrency.label("provider_limit"),
        provider_gate.c.reason.label("gate_reason"),
        provider_gate.c.closed_until.label("gate_closed_until"),
        provider_gate.c.cause.label("gate_cause"),
        chat_job.c.webhook_sealed.is_not(None).label("webhook"),
        webhook_delivery.c.status.label("webhook_status"),
        webhook_delivery.c.attempts.label("webhook_tries"),
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
_BY_ID: Final = SHOWN.where(chat_job.c.id == sa.bindparam("job_id"))


def get(tx: sa.Connection, job_id: str, *, owner: str | None) -> Job | None:
    """The job of this owner (None: of any owner), or None."""
    row = tx.execute(_BY_ID, {"job_id": job_id}).mappings().first()
    if row is None or owner not in (None, row["owner"]):
        return None
    return job_of(row)


def job_of(row: sa.RowMapping) -> Job:
    """The job in one row of `SHOWN`."""
    values: dict[str, Any] = dict(row)
    values["state"] = JobState(values["state"])
    reason = values["gate_reason"]
    values["gate_reason"] = GateReason(reason) if reason else None
    return Job(**values)


def states(tx: sa.Connection, job_ids: Iterable[str]) -> Mapping[str, tuple[JobState, int]]:
    """State and version of each of these jobs that still exists."""
    rows = tx.execute(_STATES, {"job_ids": list(job_ids)})
    return {row.id: (JobState(row.state), row.version) for row in rows}


# The conditions are repeated literally: only so do the partial indexes serve them.
_AHEAD: Final = sa.select(sa.func.count()).select_from(
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
_QUEUED: Final = sa.text(
    "SELECT count(*) FROM (SELECT 1 FROM chat_job WHERE state = 'queued' LIMIT :most) AS waiting"
)
_RUNNING: Final = (
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
    count = tx.execute(_AHEAD, place).scalar_one()
    return None if count >= POSITION_LIMIT else int(count) + 1


def queued(tx: sa.Connection, *, most: int) -> int:
    """How many jobs are queued, counted up to `most`."""
    return int(tx.execute(_QUEUED, {"most": most}).scalar_one())


def running_of(tx: sa.Connection, provider_id: str) -> int:
    """How many calls to this provider are under way."""
    return int(tx.execute(_RUNNING, {"provider_id": provider_id}).scalar_one())
