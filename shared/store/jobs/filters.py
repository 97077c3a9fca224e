"""How a list of jobs is narrowed: by an index where one serves a filter, else by looking.

One filter is served by an index, and finds its jobs among any number of others: the one that fits
the fewest. What is asked for besides is looked for among those that it leaves, so many a page at
most; so is `completed`, which nearly all are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from shared.domain import JobState
from shared.store.schema import NOTED, chat_job, job_metadata, provider

# Of these states few rows are left, or few among those that ended; the schema's conditions say so.
_LIVE: Final = (JobState.QUEUED, JobState.IN_PROGRESS)
_UNCOMPLETED: Final = (JobState.FAILED, JobState.CANCELLED)

COUNTED: Final = (100, 2_000)  # jobs of each filter, in its index, where several could be served
_WITH_JOBS: Final = job_metadata.join(chat_job, chat_job.c.id == job_metadata.c.job_id)

Condition = sa.ColumnElement[bool] | sa.TextClause


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
class Filters:
    """Where to read ids in their order, `job_id`, by conditions that an index serves.

    `source` has those rows and the jobs' own, which `others` are about: these are to look for.
    """

    job_id: sa.ColumnElement[str]
    source: sa.FromClause
    served: Sequence[Condition]
    others: Sequence[Condition]


@dataclass(frozen=True, slots=True)
class _Way:
    """A filter: how an index serves it, from which table, and how a row of a job tells it.

    `exact` says that the index leaves nothing to look for.
    """

    table: sa.Table
    served: Sequence[Condition]
    told: Condition
    exact: bool = True

    @property
    def job_id(self) -> sa.ColumnElement[str]:
        return chat_job.c.id if self.table is chat_job else job_metadata.c.job_id


def filters_of(tx: sa.Connection, wanted: Wanted) -> Filters:
    """The conditions of a list, without that of its place."""
    # Literal, so that the partial indexes serve it.
    whole = _Way(chat_job, [], sa.text("chat_job.store"))
    ways = [
        *(_by_row(told) for told in _of_state(wanted.state, _UNCOMPLETED)),
        *(_of_pair(tx, key, value) for key, value in wanted.metadata.items()),
        *([] if wanted.model is None else [_by_row(chat_job.c.model == wanted.model)]),
        *(_by_row(told) for told in _of_provider(tx, wanted.provider)),
    ]
    chosen = _rarest(tx, ways, wanted.owner) if ways else whole
    others = [way.told for way in ways if way is not chosen or not way.exact]
    return Filters(
        chosen.job_id,
        chat_job if chosen.table is chat_job else _WITH_JOBS,
        [*_narrowed(chosen, wanted.owner), *_around_live(tx, wanted.state, chosen.job_id)],
        [*others, *_of_state(wanted.state, (JobState.COMPLETED, *_LIVE))],
    )


def _by_row(told: Condition) -> _Way:
    return _Way(chat_job, [told], told)


def _narrowed(way: _Way, owner: str | None) -> list[Condition]:
    """What the index is asked for; it holds stored jobs only."""
    stored = [sa.text("chat_job.store")] if way.table is chat_job else []
    return [*stored, *way.served, *([] if owner is None else [way.table.c.owner == owner])]


def _rarest(tx: sa.Connection, ways: Sequence[_Way], owner: str | None) -> _Way:
    """The first of those that fit the fewest jobs, as far as is counted."""

    def count(way: _Way, most: int) -> int:
        # In order, or PostgreSQL reads all that the index has before it takes the first of them.
        found = sa.select(way.job_id).where(*_narrowed(way, owner)).order_by(way.job_id)
        query = sa.select(sa.func.count()).select_from(found.limit(most).subquery())
        return int(tx.execute(query).scalar_one())

    if len(ways) > 1:
        for most in COUNTED:
            counts = [count(way, most) for way in ways]
            if min(counts) < most:
                return ways[counts.index(min(counts))]
    return ways[0]


def _of_state(state: JobState | None, those: Sequence[JobState]) -> list[Condition]:
    """The condition of one of those states; literal, so that a partial index serves it."""
    return [sa.text(f"chat_job.state = '{state.value}'")] if state in those and state else []


def _of_provider(tx: sa.Connection, named: str | None) -> list[Condition]:
    """Those of one provider; more than one may have had a slug."""
    if named is None:
        return []
    is_it = sa.or_(provider.c.id == named, provider.c.slug == named)
    found = tx.execute(sa.select(provider.c.id).where(is_it)).scalars().all()
    if not found:
        return [sa.false()]
    of_it = chat_job.c.provider_id
    chosen = of_it == found[0] if len(found) == 1 else of_it.in_(found)
    return [sa.and_(chosen, sa.text("chat_job.provider_id <> ''"))]


def _around_live(
    tx: sa.Connection, state: JobState | None, of: sa.ColumnElement[str]
) -> list[Condition]:
    """From the oldest to the youngest job in this state, of anybody; nothing for other states."""
    if state not in _LIVE:
        return []
    is_it = _of_state(state, _LIVE)
    if state is JobState.QUEUED:  # two looks at an index for each provider, however many wait
        of_one = sa.select(chat_job.c.id).where(*is_it, chat_job.c.provider_id == provider.c.id)
        oldest = of_one.order_by(chat_job.c.id).limit(1).scalar_subquery()
        youngest = of_one.order_by(chat_job.c.id.desc()).limit(1).scalar_subquery()
        bounds = sa.select(sa.func.min(oldest), sa.func.max(youngest)).select_from(provider)
    else:
        # An expression, or PostgreSQL walks the primary key until it finds one.
        job_id = chat_job.c.id + ""
        bounds = sa.select(sa.func.min(job_id), sa.func.max(job_id)).where(*is_it)
    first, last = tx.execute(bounds).one()
    return [sa.false()] if first is None else [of.between(first, last)]


def _of_pair(tx: sa.Connection, key: str, value: str) -> _Way:
    of_it = job_metadata.c
    served = [of_it.key == key, of_it.value == value[:NOTED]]
    return _Way(job_metadata, served, _noted(tx, key, value), exact=len(value) < NOTED)


def _noted(tx: sa.Connection, key: str, value: str) -> sa.ColumnElement[bool]:
    if tx.dialect.name != "sqlite":
        return sa.type_coerce(chat_job.c.metadata, postgresql.JSONB).contains({key: value})
    # Not by a path: SQLite's cannot name every key (quotes, what JSON escapes).
    member = sa.func.json_each(chat_job.c.metadata).table_valued("key", "value")
    return sa.exists().where(member.c.key == key, member.c.value == value)
