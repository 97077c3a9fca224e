"""Totals of whole days, added up from those of the hours: a month of them is read at once.

The chat worker's purge adds up a day when it has been over for six hours, one in a transaction; the
hours stay. Days are those of UTC. Only a clock that is behind adds to an hour that is over.

What it has no day of yet it adds up once an hour, by day as well: `usage_part`.
"""

from __future__ import annotations

from math import ceil, floor
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from shared.store.schema import usage_day, usage_hour, usage_part

HOUR: Final = 3_600
DAY: Final = 86_400
SETTLED_SECONDS: Final = 6 * 3_600  # more than clocks of workers may differ
PART_SETTLED: Final = 900  # workers keep what they cannot write for up to ten minutes

_SAME: Final = [column.name for column in usage_hour.columns if column.name != "hour"]
_KEYS: Final = [column.name for column in usage_hour.primary_key if column.name != "hour"]
_COUNTS: Final = [name for name in _SAME if name not in _KEYS]
_SINCE: Final = sa.bindparam("since", type_=sa.BigInteger())
_UNTIL: Final = sa.bindparam("until", type_=sa.BigInteger())


def _adding_up(table: sa.Table, *marks: sa.ColumnElement[Any]) -> dict[str, sa.Insert]:
    """For each dialect: insert the sums by day of the hours from `since` to before `until`."""
    day = (usage_hour.c.hour - usage_hour.c.hour % DAY).label("day")
    keys = [day, *[usage_hour.c[name] for name in _KEYS]]
    sums = [sa.cast(sa.func.sum(usage_hour.c[name]), sa.BigInteger) for name in _COUNTS]
    # Another worker may purge at the same time: in one order, so that neither waits for the other.
    query = (
        sa.select(*marks, *keys, *sums)
        .where(usage_hour.c.hour >= _SINCE, usage_hour.c.hour < _UNTIL)
        .group_by(*keys)
        .order_by(*keys)
    )
    return {
        name: insert(table).from_select(table.columns.keys(), query).on_conflict_do_nothing()
        for name, insert in (("sqlite", sqlite.insert), ("postgresql", postgresql.insert))
    }


_ADD_UP: Final = _adding_up(usage_day)
_RENEW: Final = _adding_up(usage_part, _UNTIL.label("until"))
# As of one moment: a part that begins behind these days would leave out a day in between.
_ADDED_UP: Final = sa.select(
    sa.select(sa.func.max(usage_day.c.day) + DAY).scalar_subquery(),
    sa.select(sa.func.max(usage_part.c.until)).scalar_subquery(),
)


def source(
    tx: sa.Connection, since: float, until: float, owner: str | None, *, by_hour: bool
) -> sa.Subquery:
    """The totals from `since` to before `until`, in Unix seconds, with the columns of `usage_hour`.

    What was added up has the first hour of its day as `hour`, unless `by_hour` asks for all hours.
    """
    # Whole numbers: beside a fraction PostgreSQL reads the hours as fractions, without an index.
    since, until = ceil(since), ceil(until)
    first = until if by_hour else min(-(-since // DAY) * DAY, until)
    if first == until:
        return _rows(usage_hour, since, until, owner).subquery("used")
    added_up, newest = _added_up(tx)
    last = max(first, min(until // DAY * DAY, added_up))
    rest = newest if max(first, added_up) < newest <= until else last
    spans = (
        (usage_hour, since, first),
        (usage_day, first, last),
        (usage_part, last, rest),
        (usage_hour, rest, until),
    )
    return sa.union_all(
        *[_rows(table, begin, end, owner) for table, begin, end in spans if begin < end]
    ).subquery("used")


def _rows(
    table: sa.Table, since: int, until: int, owner: str | None
) -> sa.Select[tuple[object, ...]]:
    at = table.c.hour if table is usage_hour else table.c.day
    query = sa.select(at.label("hour"), *[table.c[name] for name in _SAME])
    query = query.where(at >= since, at < until)
    if table is usage_part:
        query = query.where(table.c.until == until)
    return query if owner is None else query.where(table.c.owner == owner)


def _added_up(tx: sa.Connection) -> tuple[int, int]:
    """Until when all days are added up, and until when the newest part is; 0 where none is."""
    days, part = tx.execute(_ADDED_UP).one()
    return int(days or 0), int(part or 0)


def add_up(tx: sa.Connection, *, now: float) -> bool:
    """Add up the oldest day that is over and was not added up yet; whether there was one."""
    added_up, _ = _added_up(tx)
    oldest = tx.execute(
        sa.select(sa.func.min(usage_hour.c.hour)).where(usage_hour.c.hour >= added_up)
    ).scalar()
    if oldest is None:
        return False
    day = int(oldest) // DAY * DAY
    is_over = day + DAY + SETTLED_SECONDS <= now
    if is_over:
        tx.execute(_ADD_UP[tx.dialect.name], {"since": day, "until": day + DAY})
    return is_over


def renew_part(tx: sa.Connection, *, now: float) -> None:
    """Once an hour, add up the hours behind the last day to one that ended 15 minutes ago.

    What is written to these hours later still, by a clock that is behind, is told with the next
    sums. The last but one stay: who has just read of them finds them, as PostgreSQL reads each
    statement anew.
    """
    added_up, newest = _added_up(tx)
    until = floor((now - PART_SETTLED) / HOUR) * HOUR
    if newest < until:
        tx.execute(_RENEW[tx.dialect.name], {"since": added_up, "until": until})
        tx.execute(sa.delete(usage_part).where(usage_part.c.until < newest))


def purge(tx: sa.Connection, *, before: float) -> None:
    """Forget the days that were over at this moment."""
    for table in (usage_day, usage_part):  # of a part, where nothing was used since
        tx.execute(sa.delete(table).where(table.c.day <= floor(before - DAY)))
