"""What owners look back on: their stored jobs by page, what they asked, and every attempt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa

from shared.store.jobs.filters import Filters, Wanted, filters_of
from shared.store.jobs.read import SHOWN, job_of
from shared.store.jobs.rows import Job
from shared.store.prepared import Prepared
from shared.store.schema import chat_job, job_attempt


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
FIRST_LOOKS: Final = (250, 5_000)  # where many jobs fit, these fill a page
LARGEST_PAGE: Final = 32 * 1024 * 1024  # characters of sealed results

_THESE: Final = SHOWN.where(chat_job.c.id.in_(sa.bindparam("job_ids", expanding=True)))
_ATTEMPTS: Final = (
    sa.select(*[job_attempt.c[name] for name in Attempt.__dataclass_fields__])
    .where(job_attempt.c.job_id == sa.bindparam("job_id"))
    .order_by(job_attempt.c.attempt)
)
_LOG: Final = Prepared(
    sa.select(chat_job.c.log_sealed, chat_job.c.include_usage).where(
        chat_job.c.id == sa.bindparam("job_id")
    )
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
    none, where filters that no index serves fit few of the next 50,000: no more are looked at.
    """
    filters = filters_of(tx, wanted)
    found, stopped_at = _found(tx, filters, after, limit + 1, newest_first=newest_first)
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


def _found(
    tx: sa.Connection, filters: Filters, after: str | None, most: int, *, newest_first: bool
) -> tuple[Sequence[Any], str | None]:
    """Up to `most` ids and sizes, and the last that was looked at where that was not the end."""
    job_id = filters.job_id
    order = job_id.desc() if newest_first else job_id
    there = list(filters.served)
    if after is not None:
        there.append(job_id < after if newest_first else job_id > after)
    query = sa.select(job_id, sa.func.length(chat_job.c.result_sealed)).select_from(filters.source)
    query = query.where(*there, *filters.others).order_by(order).limit(most)
    if not filters.others:
        return tx.execute(query).all(), None
    ahead = sa.select(job_id).where(*there).order_by(order).limit(2)
    for looks in (*(few for few in FIRST_LOOKS if few < MOST_LOOKED_AT), MOST_LOOKED_AT):
        last = tx.execute(ahead.offset(looks - 1)).scalars().all()
        if len(last) < 2:
            break
        near = job_id >= last[0] if newest_first else job_id <= last[0]
        found = tx.execute(query.where(near)).all()
        if len(found) == most or looks == MOST_LOOKED_AT:
            return found, last[0]
    return tx.execute(query).all(), None


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
    row = _LOG.first(tx, {"job_id": job_id})
    return StoredLog(*row) if row else None
