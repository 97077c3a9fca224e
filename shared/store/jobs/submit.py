"""What the registry writes: accept, cancel, metadata, delete, and the ends of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from shared.domain import TERMINAL, JobState
from shared.errors import Cancelled, DeadlineExceeded, JobProviderDeleted
from shared.store import deliveries
from shared.store.jobs.ends import end
from shared.store.jobs.rows import NewJob, Retention
from shared.store.prepared import Prepared
from shared.store.schema import chat_job, job_attempt, provider

_GIVEN: Final = tuple(name for name in NewJob.__struct_fields__ if name != "provider_id")
_NAMES: Final = tuple((f"new_{name}", name) for name in NewJob.__struct_fields__)
_AT_FIRST: Final = {
    "state": JobState.QUEUED.value,
    "attempt": 0,
    "calls": 0,
    "interrupts": 0,
    "losses": 0,
    "not_before": 0.0,
    "version": 1,
    "may_have_been_billed": False,
}
# Built once: putting a statement together costs more than running it.
_SOURCE: Final = sa.select(
    provider.c.id,
    *[sa.bindparam(f"new_{name}", type_=chat_job.c[name].type) for name in _GIVEN],
    *[sa.literal(value, chat_job.c[name].type) for name, value in _AT_FIRST.items()],
).where(
    provider.c.id == sa.bindparam("new_provider_id"),
    provider.c.deleted_at.is_(None),
    provider.c.enabled.is_(True),
)
_INSERT: Final = {
    name: Prepared(
        insert(chat_job)
        .from_select(["provider_id", *_GIVEN, *_AT_FIRST], _SOURCE, include_defaults=False)
        .on_conflict_do_nothing()
    )
    for name, insert in (("sqlite", sqlite.insert), ("postgresql", postgresql.insert))
}
_BY_KEY: Final = Prepared(
    sa.select(chat_job.c.id, chat_job.c.body_fingerprint).where(
        chat_job.c.owner == sa.bindparam("owner"),
        chat_job.c.route == sa.bindparam("route"),
        chat_job.c.idempotency_key == sa.bindparam("key"),
    )
)
# A call under way may be billed although nobody waits for its answer any more, and so may one that
# was lost before.
_BILLED: Final = sa.or_(chat_job.c.state == JobState.IN_PROGRESS, chat_job.c.interrupts > 0)


def insert(tx: sa.Connection, job: NewJob) -> bool:
    """Accept a job; False when its provider was deleted or disabled, or its key is in use."""
    values = {given: getattr(job, name) for given, name in _NAMES}
    return _INSERT[tx.dialect.name].changed(tx, values) > 0


def by_key(tx: sa.Connection, *, owner: str, route: str, key: str) -> tuple[str, str] | None:
    """Id and body fingerprint of the job that this owner submitted with this idempotency key."""
    row = _BY_KEY.first(tx, {"owner": owner, "route": route, "key": key})
    return (row[0], row[1]) if row else None


def cancel(tx: sa.Connection, job_id: str, *, now: float, retention: Retention) -> bool:
    """End a live job as `cancelled`; False when it had ended already."""
    ended = end(
        tx,
        chat_job.c.id == job_id,
        chat_job.c.state.in_((JobState.QUEUED, JobState.IN_PROGRESS)),
        state=JobState.CANCELLED,
        code=Cancelled.code,
        may_have_been_billed=_BILLED,
        now=now,
        retention=retention,
    )
    return bool(ended)


def set_metadata(tx: sa.Connection, job_id: str, metadata: Mapping[str, str]) -> None:
    """Replace what its owner noted about a job."""
    tx.execute(
        sa.update(chat_job)
        .where(chat_job.c.id == job_id)
        .values(metadata=dict(metadata), version=chat_job.c.version + 1)
    )


def delete(tx: sa.Connection, job_id: str) -> None:
    """Forget an ended job, its attempts and its delivery."""
    # The row first: a late outcome that is being written is waited for there.
    tx.execute(sa.delete(chat_job).where(chat_job.c.id == job_id, chat_job.c.state.in_(TERMINAL)))
    tx.execute(sa.delete(job_attempt).where(job_attempt.c.job_id == job_id))
    deliveries.forget(tx, [job_id])


def expire_foreground(
    tx: sa.Connection, job_ids: Sequence[str], *, now: float, retention: Retention
) -> Sequence[str]:
    """End the foreground jobs whose deadline no worker kept; returns the ids that it ended."""
    return end(
        tx,
        chat_job.c.id.in_(list(job_ids)),
        chat_job.c.state.in_((JobState.QUEUED, JobState.IN_PROGRESS)),
        chat_job.c.deadline < now,
        state=JobState.FAILED,
        code=DeadlineExceeded.code,
        may_have_been_billed=_BILLED,
        now=now,
        retention=retention,
    )


def fail_of_deleted_provider(
    tx: sa.Connection, provider_id: str, *, now: float, retention: Retention
) -> Sequence[str]:
    """End every queued job of a provider that is gone; returns their ids."""
    return end(
        tx,
        chat_job.c.provider_id == provider_id,
        sa.text("chat_job.state = 'queued'"),
        state=JobState.FAILED,
        code=JobProviderDeleted.code,
        may_have_been_billed=_BILLED,
        now=now,
        retention=retention,
    )
