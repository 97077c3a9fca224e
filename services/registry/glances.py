"""Reads of a row or two in SQLite, without leaving the loop's thread (decision 19)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import sqlalchemy as sa

from shared.store.database import UNAVAILABLE, Database

T = TypeVar("T")


class Glances:
    """Reads on a connection of the loop's own thread, which never waits for anybody's lock.

    It has no transaction, as on PostgreSQL: each statement of a glance sees what is there then.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._connection: sa.Connection | None = None
        self.free = True

    def result_of(self, work: Callable[[sa.Connection], T]) -> T:
        """What `work` returns; raises what it raises, and what the database does."""
        self.free = False  # should anything in it wait, another one must not come between
        try:
            if self._connection is None:
                self._connection = self._database.glancing()
            return work(self._connection)
        except UNAVAILABLE:
            self.close()
            raise
        finally:
            self.free = True

    def close(self) -> None:
        """Give the connection up; the next glance opens another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.invalidate()
            connection.close()
