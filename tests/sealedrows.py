"""Rows with a sealed value in every sealed column, and what all of them say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from shared.crypto import Sealer
from shared.store.database import Database
from shared.store.sealed import COLUMNS, SealedColumn

_OF_TYPE: dict[type[sa.types.TypeEngine[Any]], Any] = {
    sa.Text: "",
    sa.Boolean: False,
    sa.JSON: {},
    sa.Integer: 0,
    sa.BigInteger: 0,
    sa.Double: 1.0,
}


def plain(column: SealedColumn, row: str) -> bytes:
    """What the value of this place says."""
    return f"words of {column} in {row}".encode()


def fill(database: Database, sealer: Sealer, rows: Sequence[str]) -> None:
    """Insert these rows into every table with sealed columns, all of them sealed."""
    with database.write() as tx:
        for table in dict.fromkeys(column.table for column in COLUMNS):
            columns = [column for column in COLUMNS if column.table is table]
            for row in rows:
                sealed = {
                    column.name: sealer.seal(plain(column, row), **column.place(row))
                    for column in columns
                }
                others = {
                    one.name: row if one.name in ("name", "name_folded", "slug") else _any(one)
                    for one in table.columns
                    if not (one.nullable or one.server_default)
                }
                tx.execute(sa.insert(table).values({**others, columns[0].key.name: row, **sealed}))


def _any(column: sa.Column[Any]) -> Any:
    return next(value for kind, value in _OF_TYPE.items() if isinstance(column.type, kind))


def values(database: Database, column: SealedColumn) -> dict[str, str]:
    """Row → sealed value."""
    query = sa.select(column.key, column.values).where(column.values.is_not(None))
    with database.read() as tx:
        return {one[0]: one[1] for one in tx.execute(query)}


def all_open(database: Database, sealer: Sealer) -> int:
    """How many values there are; raises SealBroken or AssertionError unless each says its words."""
    number = 0
    for column in COLUMNS:
        for row, sealed in values(database, column).items():
            assert sealer.open(sealed, **column.place(row)) == plain(column, row)
            number += 1
    return number
