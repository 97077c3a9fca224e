"""What owners look back on: their stored jobs by page, what they asked, and every attempt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from shared.domain import JobState
from shared.store.jobs.read import SHOWN, job_of
from shared.store.jobs.rows import Job
from shared.store.schema import chat_job, job_attempt, provider


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which jobs a list shows; None lets everything pass, `owner` None is everybody's.

    `provider` is an id or a slug, of deleted ones too.
    """

    owner: str | None
    state: JobState | None = None
    model: str | None = None
    provider: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Page:
    """A page of jobs. `stopped_at` is the last that was looked at, where that was not the end."""

    jobs: Sequence[Job]
    has_more: bool
    stopped_at: str | None = None


@dataclass(frozen=True, slots=True)
class Attempt:
    """One claim of a job and what its calls showed. Times in Unix seconds, durations in seconds."""

    attempt: int
    worker_id: str
    chat_url: str
    key_fingerprint: str | None
    provider_revision: int
    started_at: float
    ended_at: float
    calls: int
    connect_seconds: float | None
    first_byte_seconds: float | None
    upstream_status: int | None
    upstream_request_id: str | None
    outcome: str
    sent: bool
    fenced: bool
    prompt_tokens: int | None
    completion_tokens: int | None


@dataclass(frozen=True, slots=True)
class StoredLog:
    """The sealed chunk log of a job, if it was streamed; whether its client asked for usage."""

    log_sealed: str | None
    include_usage: bool


@dataclass(frozen=True, slots=True)
class Sent:
    """What was submitted beside what `Job` has; sealed with the job's id as it is stored."""

    request_sealed: str
    original_sealed: str | None
    webhook_sealed: str | None
    route: str
    on_interrupt: str
    include_usage: bool


MOST_LOOKED_AT: Final = 50_000  # jobs of one filtered page: 60 ms in SQLite, 40 in PostgreSQL
LARGEST_PAGE: Final = 32 * 1024 * 1024  # characters of sealed results

_THESE: Final = SHOWN.where(chat_job.c.id.in_(sa.bindparam("job_ids", expanding=True)))
_ATTEMPTS: Final = (
    sa.select(*[job_attempt.c[name] for name in Attempt.__dataclass_fields__])
    .where(job_attempt.c.job_id == sa.bindparam("job_id"))
    .order_by(job_attempt.c.attempt)
)
_LOG: Final = sa.select(chat_job.c.log_sealed, chat_job.c.include_usage).where(
    chat_job.c.id == sa.bindparam("job_id")
)
_ORIGINAL: Final = sa.select(chat_job.c.original_sealed).where(
    chat_job.c.id == sa.bindparam("job_id")
)
_REQUEST: Final = sa.select(chat_job.c.request_sealed).where(
    chat_job.c.id == sa.bindparam("job_id")
)

_SENT: Final = sa.select(*[chat_job.c[name] for name in Sent.__dataclass_fields__]).where(
    chat_job.c.id == sa.bindparam("job_id")
)


def page(
    tx: sa.Connection, wanted: Wanted, *, limit: int, after: str | None, newest_first: bool
) -> Page:
    """Up to `limit` jobs with `store: true`, behind the bare id `after`.

    Fewer, at least one, where their results are very large: a page is held in memory. Fewer, or
    none, where the filters fit few of the next 50,000: no more are looked at.
    """
    order = chat_job.c.id.desc() if newest_first else chat_job.c.id
    # Literal, so that the partial index serves it.
    there: list[sa.ColumnElement[bool] | sa.TextClause] = [sa.text("chat_job.store")]
    if wanted.owner is not None:
        there.append(chat_job.c.owner == wanted.owner)
    if after is not None:
        there.append(chat_job.c.id < after if newest_first else chat_job.c.id > after)
    query = sa.select(chat_job.c.id, sa.func.length(chat_job.c.result_sealed)).where(*there)
    stopped_at = None
    if filters := _filters(tx, wanted):
        last = sa.select(chat_job.c.id).where(*there).order_by(order).limit(2)
        ahead = tx.execute(last.offset(MOST_LOOKED_AT - 1)).scalars().all()
        if len(ahead) == 2:
            stopped_at = ahead[0]
            near = chat_job.c.id >= stopped_at if newest_first else chat_job.c.id <= stopped_at
            filters.append(near)
    found = tx.execute(query.where(*filters).order_by(order).limit(limit + 1)).all()
    chosen: list[str] = []
    size = 0
    for job_id, length in found[:limit]:
        size += length or 0
        if chosen and size > LARGEST_PAGE:
            break
        chosen.append(job_id)
    rows = tx.execute(_THESE, {"job_ids": chosen})
    shown = sorted((job_of(row) for row in rows), key=lambda job: job.id, reverse=newest_first)
    further = len(chosen) < len(found)
    return Page(shown, further or stopped_at is not None, None if further else stopped_at)


def _filters(tx: sa.Connection, wanted: Wanted) -> list[sa.ColumnElement[bool]]:
    filters: list[sa.ColumnElement[bool]] = []
    for column in ("state", "model"):
        if (value := getattr(wanted, column)) is not None:
            filters.append(chat_job.c[column] == value)
    if wanted.provider is not None:
        named = sa.or_(provider.c.id == wanted.provider, provider.c.slug == wanted.provider)
        filters.append(chat_job.c.provider_id.in_(sa.select(provider.c.id).where(named)))
    return filters + [_noted(tx, key, value) for key, value in wanted.metadata.items()]


def _noted(tx: sa.Connection, key: str, value: str) -> sa.ColumnElement[bool]:
    if tx.dialect.name != "sqlite":
        return sa.type_coerce(chat_job.c.metadata, postgresql.JSONB).contains({key: value})
    # Not by a path: SQLite's cannot name every key (quotes, what JSON escapes).
    member = sa.func.json_each(chat_job.c.metadata).table_valued("key", "value")
    return sa.exists().where(member.c.key == key, member.c.value == value)


def attempts(tx: sa.Connection, job_id: str) -> Sequence[Attempt]:
    """Every claim of this job that ended, oldest first."""
    return [Attempt(*row) for row in tx.execute(_ATTEMPTS, {"job_id": job_id})]


def request_of(tx: sa.Connection, job_id: str) -> str | None:
    """The sealed body that the upstream gets; None when there is no such job."""
    sealed: str | None = tx.execute(_REQUEST, {"job_id": job_id}).scalar()
    return sealed


def sent_of(tx: sa.Connection, job_id: str) -> Sent | None:
    """All that it takes to submit the same again; None when there is no such job."""
    row = tx.execute(_SENT, {"job_id": job_id}).first()
    return Sent(*row) if row else None


def original_of(tx: sa.Connection, job_id: str) -> str | None:
    """The sealed body that the client sent, where it was translated; else None."""
    sealed: str | None = tx.execute(_ORIGINAL, {"job_id": job_id}).scalar()
    return sealed


def log_of(tx: sa.Connection, job_id: str) -> StoredLog | None:
    """The chunk log of this job; None when there is no such job."""
    row = tx.execute(_LOG, {"job_id": job_id}).first()
    return StoredLog(*row) if row else None
