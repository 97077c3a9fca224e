"""Every sealed column, and the place that its values are bound to.

Sealed columns are those whose name ends so. A sealed value opens only at its place: the table, the
row (its primary key) and the column. The keyring's proofs (`installation.keyring_proof`) are kept
apart: they are no content, but what `shared.store.opening` measures a keyring by.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa

from shared.store.schema import metadata

ROWS: Final = 100  # of one batch, and
CHARACTERS: Final = 1_000_000  # of it, or one value that is longer


@dataclass(frozen=True, slots=True)
class SealedColumn:
    """One column of sealed values, in a table whose primary key is one text."""

    table: sa.Table
    name: str

    def __str__(self) -> str:
        return f"{self.table.name}.{self.name}"

    @property
    def key(self) -> sa.Column[str]:
        """The primary key: what a place calls `row`."""
        (key,) = self.table.primary_key.columns
        return key

    @property
    def values(self) -> sa.Column[str]:
        """The sealed values; NULL where there is none."""
        return self.table.c[self.name]

    def place(self, row: str) -> dict[str, str]:
        """Where the value of this row is bound to, as a `Sealer` wants it."""
        return {"table": self.table.name, "row": row, "column": self.name}


COLUMNS: Final[Sequence[SealedColumn]] = tuple(
    SealedColumn(table, column.name)
    for table in metadata.sorted_tables
    for column in table.columns
    if column.name.endswith("_sealed")
)


@dataclass(frozen=True, slots=True)
class Stored:
    """A sealed value, and the row that it stands in."""

    row: str
    sealed: str


def count(tx: sa.Connection, column: SealedColumn) -> int:
    """How many values there are."""
    query = sa.select(sa.func.count()).where(column.values.is_not(None))
    return int(tx.execute(query).scalar_one())


def count_sealed_with(tx: sa.Connection, column: SealedColumn, kid: str) -> int:
    """How many values this key sealed."""
    query = sa.select(sa.func.count()).where(_is_sealed_with(column, kid))
    return int(tx.execute(query).scalar_one())


def count_stale(tx: sa.Connection, column: SealedColumn, primary: str) -> int:
    """How many values another key than `primary` sealed."""
    query = sa.select(sa.func.count()).where(~_is_sealed_with(column, primary))
    return int(tx.execute(query).scalar_one())


def batch(
    tx: sa.Connection, column: SealedColumn, *, but: str | None, after: str
) -> Sequence[Stored]:
    """Some values, from the row beyond `after` on, in the order of the rows.

    Without those that the key `but` sealed; None leaves out nothing. Bounded in rows and in
    characters, so that neither memory nor the transaction that replaces them depends on how long
    the values are.
    """
    query = (
        sa.select(column.key, column.values)
        .where(
            column.values.is_not(None) if but is None else ~_is_sealed_with(column, but),
            column.key > after,
        )
        .order_by(column.key)
        .limit(ROWS)
        .execution_options(yield_per=10)
    )
    rows = tx.execute(query)
    try:
        return list(_within_characters(Stored(*row) for row in rows))
    finally:
        rows.close()


def _within_characters(values: Iterator[Stored]) -> Iterator[Stored]:
    left = CHARACTERS
    for value in values:
        yield value
        left -= len(value.sealed)
        if left <= 0:
            return


def replace(tx: sa.Connection, column: SealedColumn, renewed: Mapping[Stored, str]) -> None:
    """Write these values where the row still holds the old one; whoever changed it meanwhile wins.

    Nothing else of the row changes: no revision, no time. Rows that somebody else is changing are
    left out, so that nobody waits for a row of ours while we wait for one of theirs.
    """
    wanted = sorted(each.row for each in renewed)
    free = sa.select(column.key).where(column.key.in_(wanted)).order_by(column.key)
    mine = set(tx.execute(free.with_for_update(skip_locked=True)).scalars())
    statement = (
        sa.update(column.table)
        .where(column.key == sa.bindparam("place"), column.values == sa.bindparam("old"))
        .values({column.name: sa.bindparam("new")})
    )
    changes = [
        {"place": each.row, "old": each.sealed, "new": new}
        for each, new in renewed.items()
        if each.row in mine
    ]
    if changes:
        tx.execute(statement, changes)


def _is_sealed_with(column: SealedColumn, kid: str) -> sa.ColumnElement[bool]:
    # Not LIKE, which ignores case on SQLite. NULL compares as neither, so it is no value.
    prefix = f"v1.{kid}."
    return sa.func.substr(column.values, 1, len(prefix)) == prefix
