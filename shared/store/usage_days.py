"""Totals of whole days, added up from those of the hours: a month of them is read at once.

The chat worker's purge adds up a day when it has been over for six hours, one in a transaction; the
hours stay. Days are those of UTC. Only a clock that is behind adds to an hour that is over.
"""

from __future__ import annotations

from math import ceil, floor
from typing import Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from shared.store.schema import usage_day, usage_hour

DAY: Final = 86_400
SETTLED_SECONDS: Final = 6 * 3_600  # more than clocks of workers may differ

_SAME: Final = [column.name for column in usage_hour.columns if column.name != "hour"]
_KEYS: Final = [column.name for column in usage_hour.primary_key if column.name != "hour"]
_COUNTS: Final = [name for name in _SAME if name not in _KEYS]
_OF_DAY: Final = sa.select(
    sa.bindparam("day", type_=sa.BigInteger()),
    *[usage_hour.c[name] for name in _KEYS],
    *[sa.cast(sa.func.sum(usage_hour.c[name]), sa.BigInteger) for name in _COUNTS],
).where(
    usage_hour.c.hour >= sa.bindparam("day", type_=sa.BigInteger()),
    usage_hour.c.hour < sa.bindparam("end", type_=sa.BigInteger()),
)
_ADD_UP: Final = {
    name: insert(usage_day)
    .from_select(
        ["day", *_KEYS, *_COUNTS], _OF_DAY.group_by(*[usage_hour.c[name] for name in _KEYS])
    )
    .on_conflict_do_nothing()  # another worker may purge at the same time
    for name, insert in (("sqlite", sqlite.insert), ("postgresql", postgresql.insert))
}


def source(
    tx: sa.Connection, since: float, until: float, owner: str | None, *, by_hour: bool
) -> sa.Subquery:
    """The totals from `since` to before `until`, in Unix seconds, with the columns of `usage_hour`.

    Where a whole day was added up, `hour` is its first one, unless `by_hour` asks for all of them.
    """
    # Whole numbers: beside a fraction PostgreSQL reads the hours as fractions, without an index.
    since, until = ceil(since), ceil(until)
    first = -(-since // DAY) * DAY
    last = first if by_hour else min(until // DAY * DAY, _added_up(tx))
    if last <= first:
        return _part(usage_hour, since, until, owner).subquery("used")
    parts = [
        _part(usage_hour, since, first, owner),
        _part(usage_day, first, last, owner),
        _part(usage_hour, last, until, owner),
    ]
    return sa.union_all(*parts).subquery("used")


def _part(
    table: sa.Table, since: int, until: int, owner: str | None
) -> sa.Select[tuple[object, ...]]:
    at = table.c[table.columns.keys()[0]]
    query = sa.select(at.label("hour"), *[table.c[name] for name in _SAME])
    query = query.where(at >= since, at < until)
    return query if owner is None else query.where(table.c.owner == owner)


def _added_up(tx: sa.Connection) -> int:
    """Until when all days are added up; 0 where none is."""
    newest = tx.execute(sa.select(sa.func.max(usage_day.c.day))).scalar()
    return 0 if newest is None else int(newest) + DAY


def add_up(tx: sa.Connection, *, now: float) -> bool:
    """Add up the oldest day that is over and was not added up yet; whether there was one."""
    oldest = tx.execute(
        sa.select(sa.func.min(usage_hour.c.hour)).where(usage_hour.c.hour >= _added_up(tx))
    ).scalar()
    if oldest is None:
        return False
    day = int(oldest) // DAY * DAY
    is_over = day + DAY + SETTLED_SECONDS <= now
    if is_over:
        tx.execute(_ADD_UP[tx.dialect.name], {"day": day, "end": day + DAY})
    return is_over


def purge(tx: sa.Connection, *, before: float) -> None:
    """Forget the days that were over at this moment."""
    tx.execute(sa.delete(usage_day).where(usage_day.c.day <= floor(before - DAY)))
