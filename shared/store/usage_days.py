"""Totals of whole days, added up from those of the hours: a month of them is read at once.

The chat worker's purge adds up a day when it has been over for six hours, one in a transaction; the
hours stay. Days are those of UTC. Only a clock that is behind adds to an hour that is over.

What it has no day of yet it adds up once an hour, by day as well: `usage_part`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from math import ceil, floor
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from shared.store.schema import usage_day, usage_hour, usage_part

HOUR: Final = 3_600
DAY: Final = 86_400
SETTLED_SECONDS: Final = 6 * 3_600  # more than clocks of workers may differ
PART_SETTLED: Final = 900  # workers keep what they cannot write for up to ten minutes

_KEYS: Final = [column.name for column in usage_hour.primary_key if column.name != "hour"]
_COUNTS: Final = [column.name for column in usage_hour.columns if not column.primary_key]
# What may be asked for, and the shortest beginning of an index that has it, behind the day.
_ORDERS: Final[Mapping[frozenset[str], Sequence[str]]] = {
    frozenset(): (),
    frozenset({"owner"}): ("owner",),
    frozenset({"key_id"}): ("owner", "key_id"),
    frozenset({"owner", "key_id"}): ("owner", "key_id"),
    frozenset({"provider_id"}): ("provider_id",),
    frozenset({"model"}): ("provider_id", "model"),
    frozenset({"provider_id", "model"}): ("provider_id", "model"),
}
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
    tx: sa.Connection,
    since: float,
    until: float,
    owner: str | None,
    *,
    by: Collection[str],
    counts: Sequence[str] = _COUNTS,
) -> sa.Subquery:
    """The totals from `since` to before `until`, in Unix seconds, still to be summed up.

    The columns are `hour`, those of `by` among the keys, and `counts`. What was added up has the
    first hour of its day as `hour`, unless `hour` is asked for, which reads all hours.
    """
    # Whole numbers: beside a fraction PostgreSQL reads the hours as fractions, without an index.
    since, until = ceil(since), ceil(until)
    first = until if "hour" in by else min(-(-since // DAY) * DAY, until)
    added_up, newest = (0, 0) if first == until else _added_up(tx)
    last = max(first, min(until // DAY * DAY, added_up))
    rest = newest if max(first, added_up) < newest <= until else last
    spans = (
        (usage_hour, since, first),
        (usage_day, first, last),
        (usage_part, last, rest),
        (usage_hour, rest, until),
    )
    keys = [name for name in _KEYS if name in by]
    told = [span for span in spans if span[1] < span[2]] or [(usage_hour, since, until)]
    return sa.union_all(*[_rows(*span, owner, keys, counts) for span in told]).subquery("used")


def _rows(
    table: sa.Table,
    since: int,
    until: int,
    owner: str | None,
    keys: Sequence[str],
    counts: Sequence[str],
) -> sa.Select[tuple[object, ...]]:
    at = table.c.hour if table is usage_hour else table.c.day
    found = [at.label("hour"), *[table.c[name] for name in keys]]
    # Summed up here where an index has that order: to sort rows of so many columns takes longest.
    order = None if table is usage_hour else _ORDERS.get(frozenset(keys))
    query = sa.select(*found, *[table.c[name] for name in counts])
    if order is not None:
        sums = [sa.func.sum(table.c[name]).label(name) for name in counts]
        query = sa.select(*found, *sums).group_by(at, *[table.c[name] for name in order])
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
