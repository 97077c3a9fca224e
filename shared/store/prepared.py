"""Statements of the hot paths: compiled once for each dialect, then run by the driver itself.

SQLAlchemy makes an execution context and a result object for each execution. On the way of every
call that is most of what a statement costs: reading one job took 109 µs of CPU that way and takes
30 µs here, accepting one took 166 µs and takes 65 µs. Statements, types and errors stay
SQLAlchemy's own; what is not on such a way uses `Connection.execute`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import exc

from shared.store.prepared_rows import Given, RowsAtOnce, rows_at_once

Row = Sequence[Any]
Statement = sa.Select[*tuple[Any, ...]] | sa.UpdateBase | sa.TextClause


class Prepared:
    """One statement with values by the names of its `bindparam`s; no `expanding` ones.

    What a `text` finds comes as the driver has it, all else as SQLAlchemy's types. Safe for all
    threads. Its transaction is the connection's, as with `Connection.execute`.
    """

    def __init__(self, statement: Statement) -> None:
        self._statement: Final = statement
        self._forms: dict[str, _Form] = {}

    def all(self, tx: sa.Connection, values: Mapping[str, Any]) -> Sequence[Row]:
        """All rows, each with its values in the order of the columns; raises `DBAPIError`s."""
        form = self._form(tx)
        raw: Any = tx.connection.dbapi_connection
        try:
            cursor = raw.execute(form.text, form.parameters(values))
            return form.rows(cursor)
        except form.errors as fault:
            raise _told(tx, form, fault) from fault

    def first(self, tx: sa.Connection, values: Mapping[str, Any]) -> Row | None:
        """The first row or None; for statements that find one at most."""
        rows = self.all(tx, values)
        return rows[0] if rows else None

    def changed(self, tx: sa.Connection, values: Mapping[str, Any]) -> int:
        """How many rows it changed; cheaper than asking for one of their columns."""
        form = self._form(tx)
        raw: Any = tx.connection.dbapi_connection
        try:
            return int(raw.execute(form.text, form.parameters(values)).rowcount)
        except form.errors as fault:
            raise _told(tx, form, fault) from fault

    def many(self, tx: sa.Connection, values: Iterable[Mapping[str, Any]]) -> None:
        """Run it once for each of these; what it finds or returns is not looked at.

        Several at once where the driver has no way of its own (`prepared_rows`): then it must not
        matter for any of these what became of those before it.
        """
        form = self._form(tx)
        raw: Any = tx.connection.dbapi_connection
        try:
            if form.rows_at_once is None:
                raw.cursor().executemany(form.text, [form.parameters(each) for each in values])
                return
            for text, parameters in form.rows_at_once.runs(list(values)):
                raw.execute(text, parameters)
        except form.errors as fault:
            raise _told(tx, form, fault) from fault

    def _form(self, tx: sa.Connection) -> _Form:
        if not tx.in_transaction():
            tx.begin()
        form = self._forms.get(tx.dialect.name)
        if form is None:
            form = self._forms[tx.dialect.name] = _Form(self._statement, tx.dialect)
        return form


class _Form:
    """A statement in one dialect."""

    def __init__(self, statement: Statement, dialect: sa.Dialect) -> None:
        compiled: Any = statement.compile(dialect=dialect)
        self.text = str(compiled)
        if "POSTCOMPILE" in self.text:
            raise TypeError("expected a statement without expanding parameters")
        self.errors: type[Exception] = dialect.loaded_dbapi.Error
        self._dialect = dialect
        self._statement = statement
        self._positional: bool = compiled.positional
        names = compiled.positiontup if self._positional else compiled.binds
        self._given = [Given.of(compiled.binds[name], name, dialect) for name in names]
        self._types = [kind.dialect_impl(dialect) for kind in _types_of(statement)]
        self._converts: Sequence[tuple[int, Callable[[Any], Any]]] | None = None
        if isinstance(statement, sa.TextClause):
            self._converts = ()

    @cached_property
    def rows_at_once(self) -> RowsAtOnce | None:
        """The form of it for many rows, where it has one."""
        return rows_at_once(self._statement, self._dialect)

    def parameters(self, values: Mapping[str, Any]) -> Any:
        """What the driver takes for these values; raises KeyError for one that is missing."""
        if self._positional:
            return [given.value(values) for given in self._given]
        return {given.name: given.value(values) for given in self._given}

    def rows(self, cursor: Any) -> Sequence[Row]:
        """What the cursor found, as the types of the columns say."""
        if cursor.description is None:
            return ()
        if self._converts is None:
            self._converts = self._conversions(cursor.description)
        found = cursor.fetchall()
        if not self._converts:
            rows: Sequence[Row] = found
            return rows
        return [self._converted(row, self._converts) for row in found]

    def _conversions(self, description: Sequence[Any]) -> Sequence[tuple[int, Any]]:
        """By the place of its column; a driver's own type decides, which only a result tells."""
        # A statement that is derived from one that was asked before keeps its answer: SQLAlchemy
        # then knows no columns of an INSERT … RETURNING.
        if len(self._types) != len(description):
            raise TypeError("expected a statement whose columns SQLAlchemy knows")
        kinds = [
            kind.result_processor(self._dialect, about[1])
            for kind, about in zip(self._types, description, strict=True)
        ]
        return [(place, convert) for place, convert in enumerate(kinds) if convert is not None]

    @staticmethod
    def _converted(row: Row, converts: Sequence[tuple[int, Callable[[Any], Any]]]) -> Row:
        values = list(row)
        for place, convert in converts:
            values[place] = convert(values[place])
        return values


def _types_of(statement: Statement) -> Sequence[sa.types.TypeEngine[Any]]:
    if isinstance(statement, sa.TextClause):
        return []
    described: Sequence[Any] = (
        statement.column_descriptions
        if isinstance(statement, sa.Select)
        else statement.returning_column_descriptions
    )
    return [column["type"] for column in described]


def _told(tx: sa.Connection, form: _Form, fault: Any) -> BaseException:
    """The driver's error as SQLAlchemy's; a connection that is gone is not used again."""
    raw: Any = tx.connection.dbapi_connection
    gone = tx.dialect.is_disconnect(fault, raw, None)
    told: BaseException = exc.DBAPIError.instance(
        form.text,
        None,
        fault,
        form.errors,
        hide_parameters=True,
        connection_invalidated=gone,
        dialect=tx.dialect,
    )
    if gone:
        tx.invalidate(fault)
    return told
