"""How a list of jobs is narrowed: by an index where one serves the filter, else by looking.

One filter is served by an index, and finds its jobs among any number of others. What is asked for
besides is looked for among those that it leaves, so many a page at most; so are `completed`, which
nearly all are, and metadata, of which each key would need an index of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from shared.domain import JobState
from shared.store.schema import chat_job, provider

# Of these states few rows are left, or few among those that ended; the schema's conditions say so.
_LIVE: Final = (JobState.QUEUED, JobState.IN_PROGRESS)
_UNCOMPLETED: Final = (JobState.FAILED, JobState.CANCELLED)

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
    """Conditions that an index serves, in the order of the ids, and those to look for by rows."""

    served: Sequence[Condition]
    others: Sequence[Condition]


def filters_of(tx: sa.Connection, wanted: Wanted) -> Filters:
    """The conditions of a list, without those of its owner and its place."""
    by_index = [
        *_of_state(wanted.state, _UNCOMPLETED),
        *([] if wanted.model is None else [chat_job.c.model == wanted.model]),
        *_of_provider(tx, wanted.provider),
    ]
    by_rows = [
        *_of_state(wanted.state, (JobState.COMPLETED, *_LIVE)),
        *(_noted(tx, key, value) for key, value in wanted.metadata.items()),
    ]
    around = _around_live(tx, wanted.state) if wanted.state in _LIVE else []
    return Filters([*around, *by_index[:1]], [*by_index[1:], *by_rows])


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


def _around_live(tx: sa.Connection, state: JobState | None) -> list[Condition]:
    """From the oldest to the youngest job in this state, of anybody."""
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
    return [sa.false()] if first is None else [chat_job.c.id.between(first, last)]


def _noted(tx: sa.Connection, key: str, value: str) -> sa.ColumnElement[bool]:
    if tx.dialect.name != "sqlite":
        return sa.type_coerce(chat_job.c.metadata, postgresql.JSONB).contains({key: value})
    # Not by a path: SQLite's cannot name every key (quotes, what JSON escapes).
    member = sa.func.json_each(chat_job.c.metadata).table_valued("key", "value")
    return sa.exists().where(member.c.key == key, member.c.value == value)
