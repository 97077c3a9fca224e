"""Connections and transactions, the same way on SQLite and PostgreSQL.

A write transaction on SQLite begins IMMEDIATE (a deferred one that turns into a write fails at
once with "database is locked" instead of waiting). Waiting for a lock ends after 5 s on both
databases, and PostgreSQL frees the locks of a stopped process after 10 s.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import psycopg
import sqlalchemy as sa
from sqlalchemy import event, exc
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.pool import Pool
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import GenericFunction

from shared.store.answering import BoundConnection, bound_answers

LOCK_TIMEOUT_MS: Final = 5_000
LOCK_LOOK_MS: Final = 1
_PATIENCE: Final = "dragoman.patience"  # of a connection: its busy_timeout, in milliseconds
IDLE_IN_TRANSACTION_MS: Final = 10_000
# Three times what a statement may wait for a lock; what a service asks takes milliseconds.
ANSWER_SECONDS: Final = 15.0
MINIMUM_SQLITE: Final = (3, 35, 0)  # RETURNING
RESTED_SECONDS: Final = 1.0
LOCK_NOT_AVAILABLE: Final = "55P03"  # PostgreSQL's documentation, Appendix A

# What a database that is away, restarting, locked, full or read-only for now raises (InternalError
# is SQLSTATE class 25: a primary that fails over, a session that was idle for too long). A
# statement that is wrong raises something else, and is a defect.
UNAVAILABLE: Final = (
    exc.OperationalError,
    exc.InterfaceError,
    exc.InternalError,
    exc.TimeoutError,
)


def is_lock_timeout(fault: Exception) -> bool:
    """Whether the database did answer: that somebody else held a lock for over 5 s."""
    orig = getattr(fault, "orig", None)
    if isinstance(orig, sqlite3.OperationalError):
        return getattr(orig, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY
    return getattr(orig, "sqlstate", None) == LOCK_NOT_AVAILABLE


def reason_of(fault: Exception) -> str:
    """The database's own first line about a failure, without the statement and its values."""
    return str(getattr(fault, "orig", fault)).strip().partition("\n")[0]


class database_now(GenericFunction[float]):  # noqa: N801 - SQLAlchemy names functions so
    """The database's clock in Unix seconds: the one clock that all workers share."""

    type = sa.Double()
    inherit_cache = True


@compiles(database_now, "sqlite")
def _now_sqlite(_element: database_now, _compiler: SQLCompiler, **_: Any) -> str:
    return "((julianday('now') - 2440587.5) * 86400.0)"


@compiles(database_now, "postgresql")
def _now_postgresql(_element: database_now, _compiler: SQLCompiler, **_: Any) -> str:
    return "extract(epoch FROM clock_timestamp())::double precision"


class Database:
    """One database and its pool of connections; safe to share between threads.

    A PostgreSQL that takes more than `answer_seconds` for a statement is away; None waits for ever.
    """

    def __init__(
        self,
        url: str,
        *,
        pool: type[Pool] | None = None,
        pool_size: int = 5,
        answer_seconds: float | None = None,
    ) -> None:
        self.is_sqlite = url.startswith("sqlite")
        options: dict[str, Any] = {"poolclass": pool} if pool else {}
        if self.is_sqlite:
            if sqlite3.sqlite_version_info < MINIMUM_SQLITE:
                raise RuntimeError(f"expected SQLite 3.35 or newer, got {sqlite3.sqlite_version}")
            target = sa.make_url(url)
            options["connect_args"] = {"timeout": LOCK_TIMEOUT_MS / 1000}
        else:
            target = sa.make_url(url).set(drivername="postgresql+psycopg")
            settings = (
                f"-c lock_timeout={LOCK_TIMEOUT_MS} "
                f"-c idle_in_transaction_session_timeout={IDLE_IN_TRANSACTION_MS}"
            )
            options["connect_args"] = {
                "connect_timeout": 5,
                "options": settings,
                # A server that vanished without a word is noticed in about 15 s.
                "keepalives_idle": 5,
                "keepalives_interval": 5,
                "keepalives_count": 2,
                "tcp_user_timeout": 15_000,
            }
        if pool is None:
            options |= {"pool_size": pool_size, "max_overflow": 0, "pool_timeout": 5}
        self.engine = sa.create_engine(target, **options)
        if self.is_sqlite:
            event.listen(self.engine, "connect", _prepare_sqlite)
            event.listen(self.engine, "begin", _begin_sqlite)
        else:
            _ping_what_rested(self.engine)
            if answer_seconds is not None:
                bound_answers(self.engine, answer_seconds)
        self._file = Path(target.database) if self.is_sqlite and target.database else None
        self._looking = self.engine.execution_options(isolation_level="AUTOCOMMIT")
        self._writing = self.engine.execution_options(dragoman_write=True)

    @property
    def is_missing(self) -> bool:
        """Whether this is a SQLite file that is not there, and that a connection would make."""
        return self._file is not None and not self._file.exists()

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """A transaction that only reads."""
        with self.engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def look(self) -> Iterator[sa.Connection]:
        """PostgreSQL without a transaction, for one statement or a few that need none.

        A transaction around it would be two round trips more.
        """
        with self._looking.connect() as connection:
            yield connection

    def glancing(self) -> sa.Connection:
        """A connection to SQLite that never waits, each of whose statements is for itself."""
        connection = self.engine.connect().execution_options(dragoman_glances=True)
        connection.exec_driver_sql("PRAGMA busy_timeout=0")  # begins for good, as SQLAlchemy sees
        return connection

    @contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """A transaction that commits when the block ends, and leaves nothing when it raises."""
        with self._writing.begin() as connection:
            yield connection

    def dispose(self) -> None:
        """Close every pooled connection."""
        self.engine.dispose()


def _ping_what_rested(engine: sa.Engine) -> None:
    """Look whether a connection that nobody used for a second is still there, before its use.

    `pool_pre_ping` asks before each use: a round trip of the five of a read. Those that were there
    when the server fell silent for one are not asked: that would take as long for each.
    """

    def rests(_connection: object, record: Any) -> None:
        record.info["rests_since"] = time.monotonic()

    def taken(connection: Any, record: Any, _proxy: object) -> None:
        if isinstance(connection, BoundConnection) and connection.is_doubtful:
            raise exc.InvalidatePoolError
        since = record.info.get("rests_since")
        if since is None or time.monotonic() - since < RESTED_SECONDS:
            return
        try:
            engine.dialect.do_ping(connection)
        except psycopg.Error as fault:
            raise exc.InvalidatePoolError from fault  # the others will not be there either

    event.listen(engine, "checkin", rests)
    event.listen(engine, "checkout", taken)


def _prepare_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # we begin transactions ourselves, in _begin_sqlite
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        f"busy_timeout={LOCK_TIMEOUT_MS}",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: sa.Connection) -> None:
    """Begin; a writer tries for 5 s to get the lock, about every millisecond.

    SQLite's own waiting sleeps ever longer, up to 100 ms. Beside two processes that write without
    a pause, a writer then waited 4.3 s at worst, and 0.3 s this way. The millisecond passes inside
    SQLite, so this needs no sleep of Python's, which gevent has replaced in the registry.
    """
    raw: Any = connection.connection.dbapi_connection
    options = connection.get_execution_options()
    if options.get("dragoman_glances", False):
        return
    if options.get("dragoman_write", False):
        _be_patient(connection, raw, LOCK_LOOK_MS)
        if not _took_write_lock(raw):
            connection.exec_driver_sql("BEGIN IMMEDIATE")  # raises, as SQLAlchemy's error
        return
    _be_patient(connection, raw, LOCK_TIMEOUT_MS)
    try:
        raw.execute("BEGIN")
    except sqlite3.Error:
        connection.exec_driver_sql("BEGIN")  # raises, as SQLAlchemy's error


def _be_patient(connection: sa.Connection, raw: Any, milliseconds: int) -> None:
    """Say how long SQLite waits by itself; whoever has the write lock meets no other."""
    info = connection.info
    if info.get(_PATIENCE, LOCK_TIMEOUT_MS) != milliseconds:
        raw.execute(f"PRAGMA busy_timeout={milliseconds}")
        info[_PATIENCE] = milliseconds


def _took_write_lock(raw: sqlite3.Connection) -> bool:
    until = time.monotonic() + LOCK_TIMEOUT_MS / 1000
    while time.monotonic() < until:
        try:
            raw.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as fault:
            if fault.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                return False
        else:
            return True
    return False
