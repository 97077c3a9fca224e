"""`column IN` any number of values, as one statement whose text never changes.

SQLAlchemy's own `IN` writes one parameter for each value: a new statement for each number of them,
which costs 5 µs a value, and which no database has prepared.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import GenericFunction


class Listed(sa.TypeDecorator[Sequence[Any]]):
    """A list of `item`s as a parameter: an array on PostgreSQL, a JSON text on SQLite."""

    impl = sa.Text
    cache_ok = True

    def __init__(self, item: type[sa.types.TypeEngine[Any]]) -> None:
        super().__init__()
        self.item = item

    def load_dialect_impl(self, dialect: sa.Dialect) -> sa.types.TypeEngine[Any]:
        """The type that the driver takes."""
        if dialect.name == "postgresql":
            return dialect.type_descriptor(postgresql.ARRAY(self.item()))
        return dialect.type_descriptor(sa.Text())

    def process_bind_param(self, value: Sequence[Any] | None, dialect: sa.Dialect) -> Any:
        """The value that the driver takes."""
        listed = list(value or ())
        return listed if dialect.name == "postgresql" else json.dumps(listed)


class is_among(GenericFunction[Any]):  # noqa: N801 - SQLAlchemy names functions so
    """Whether a column is one of some values; see `among`."""

    # Of a Boolean SQLAlchemy would write `… = 1` for SQLite, which then reads the whole table.
    type = sa.types.NullType()
    inherit_cache = True


def among(
    column: sa.Column[Any], name: str, item: type[sa.types.TypeEngine[Any]] = sa.Text
) -> sa.ColumnElement[bool]:
    """Whether `column` is one of the values that the parameter of this name holds, a sequence."""
    condition: sa.ColumnElement[bool] = is_among(column, sa.bindparam(name, type_=Listed(item)))
    return condition


@compiles(is_among, "sqlite")
def _sqlite(element: is_among, compiler: SQLCompiler, **options: Any) -> str:
    column, values = (compiler.process(part, **options) for part in element.clauses)
    return f"{column} IN (SELECT value FROM json_each({values}))"  # noqa: S608 - parameters


@compiles(is_among, "postgresql")
def _postgresql(element: is_among, compiler: SQLCompiler, **options: Any) -> str:
    column, values = (compiler.process(part, **options) for part in element.clauses)
    return f"{column} = ANY ({values})"
