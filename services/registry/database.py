"""Transactions for many greenlets: writes share a commit, reads run beside them.

One writer takes whatever waits, runs it in one transaction, commits once and wakes the callers; an
idle writer commits at once. So the cost of making a write durable is shared by all that arrived
while the last commit ran. Work that raises fails alone.

SQLite blocks its thread, so its work runs in native threads, each with a connection of its own
(a pool's locks would have to work across threads that gevent has patched); only glances at a row
or two stay on the loop, because they take less time than the way to a thread and back. psycopg
waits through gevent by itself and stays on the loop.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, TypeVar

import gevent
import sqlalchemy as sa
from gevent.event import AsyncResult, Event
from gevent.threadpool import ThreadPool
from sqlalchemy.pool import SingletonThreadPool

from services.registry.glances import Glances
from shared.config import Settings
from shared.errors import StoreUnavailable
from shared.store.database import ANSWER_SECONDS, UNAVAILABLE, Database, reason_of

T = TypeVar("T")
Work = Callable[[sa.Connection], T]
Outcome = tuple[Any, Exception | None]
Run = Callable[[Callable[[], Any]], Outcome]

READING_THREADS: Final = 3
POSTGRES_CONNECTIONS: Final = 10
LARGEST_BATCH: Final = 200  # bounds how long one commit takes, and with it everybody's wait
TRIES_ALONE: Final = 3
DEADLOCK: Final = "40P01"  # SQLSTATE
_MEMO: Final = "dragoman.batch"

logger = logging.getLogger(__name__)


class _OnePerThread(SingletonThreadPool):
    """One connection a native thread.

    SQLAlchemy closes connections beyond `pool_size`, in use or not, so it is out of reach here.
    """

    def __init__(self, creator: Any, **options: Any) -> None:
        super().__init__(creator, **{**options, "pool_size": 1_000})


def open_database(settings: Settings) -> Database:
    """The database with the connections that this process needs; checks nothing."""
    if settings.database_url.startswith("sqlite"):
        return Database(settings.database_url, pool=_OnePerThread)
    return Database(
        settings.database_url, pool_size=POSTGRES_CONNECTIONS, answer_seconds=ANSWER_SECONDS
    )


def batch_memo(tx: sa.Connection) -> dict[Any, Any]:
    """What earlier work of this very transaction read; empty at its start.

    Nothing in it can be older than the request that uses it: a batch begins after all of its
    work arrived. Work that writes providers clears it.
    """
    memo: dict[Any, Any] = tx.info.setdefault(_MEMO, {})
    return memo


class _Line:
    """Work that waits its turn: whatever has come is run together, one batch after another."""

    def __init__(self, run: Callable[[Sequence[Work[Any]]], Outcome]) -> None:
        self._run = run
        self._waiting: list[tuple[Work[Any], AsyncResult]] = []
        self._arrived = Event()
        self._closing = False
        self._server = gevent.spawn(self._serve)

    def result_of(self, work: Work[T]) -> T:
        """What `work` returns, once its batch is done; raises what it raised."""
        answer = AsyncResult()
        self._waiting.append((work, answer))
        self._arrived.set()
        result: T = answer.get()
        return result

    def close(self) -> None:
        """Run what waits; nothing comes after it."""
        self._closing = True
        self._arrived.set()
        self._server.join()

    def _serve(self) -> None:
        while self._waiting or not self._closing:
            self._arrived.wait()
            self._arrived.clear()
            while self._waiting:
                batch = self._waiting[:LARGEST_BATCH]
                del self._waiting[:LARGEST_BATCH]
                self._settle(batch)

    def _settle(self, batch: list[tuple[Work[Any], AsyncResult]]) -> None:
        outcomes, fault = self._run([work for work, _ in batch])
        if fault is not None:
            outcomes = [(None, fault)] * len(batch)
        for (value, failed), (_, answer) in zip(outcomes, batch, strict=True):
            if failed is None:
                answer.set(value)
            else:
                answer.set_exception(_told(failed))


class Transactions:
    """Runs work in transactions. Every method raises StoreUnavailable when the database is away."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._threads: list[ThreadPool] = []
        self._reading = self._runner(READING_THREADS)
        writing = self._runner(1)
        self._writes = _Line(lambda works: writing(partial(_commit, database, works)))
        self._glances = Glances(database)  # of SQLite

    def _runner(self, threads: int) -> Run:
        if not self._database.is_sqlite:
            return _attempt
        pool = ThreadPool(threads)
        self._threads.append(pool)
        return lambda call: pool.spawn(_attempt, call).get()

    def read(self, work: Work[T]) -> T:
        """What `work` returns from a transaction of its own that only reads."""
        value: T = _result(self._reading(partial(_read, self._database, work)))
        return value

    def glance(self, work: Work[T]) -> T:
        """As `read`, for work that reads a row or two by their keys, again and again.

        On SQLite it runs at once, in the loop's thread; where somebody holds a lock, elsewhere. On
        PostgreSQL it has no transaction.
        """
        if not self._database.is_sqlite:
            found: T = _result(_attempt(partial(_look, self._database, work)))
            return found
        if self._glances.free:
            outcome = _attempt(partial(self._glances.result_of, partial(_anew, work)))
            if not isinstance(outcome[1], UNAVAILABLE):
                value: T = _result(outcome)
                return value
        return self.read(work)

    def write(self, work: Work[T]) -> T:
        """What `work` returns, once it is durable. If it raises, nothing of it remains.

        Others' work may share the transaction. `work` runs in another thread, and again when
        others' failed: it must touch nothing but its connection and its own values.
        """
        return self._writes.result_of(work)

    def close(self) -> None:
        """Commit what waits, then close the connections."""
        self._writes.close()
        self._glances.close()
        for pool in self._threads:
            pool.kill()
        self._database.dispose()


def _attempt(call: Callable[[], Any]) -> Outcome:
    # Faults travel as values: gevent prints whatever a pool's thread raises.
    try:
        return call(), None
    except Exception as fault:
        return None, fault


def _read(database: Database, work: Work[T]) -> T:
    with database.read() as tx:
        return _anew(work, tx)


def _look(database: Database, work: Work[T]) -> T:
    with database.look() as connection:
        return _anew(work, connection)


def _anew(work: Work[T], tx: sa.Connection) -> T:
    tx.info[_MEMO] = {}  # `info` outlives the transaction: it is the pooled connection's
    return work(tx)


def _result(outcome: Outcome) -> Any:
    value, fault = outcome
    if fault is not None:
        raise _told(fault)
    return value


def _commit(database: Database, works: Sequence[Work[Any]]) -> list[Outcome]:
    """Run all in one transaction; what met another process's in a circle of locks, alone.

    Two batches may hold the same rows in different orders (the same idempotency keys, say). Work
    alone holds nothing that others' wait for.
    """
    outcomes = _together(database, works)
    return [
        _alone(database, work) if _is_deadlock(outcome[1]) else outcome
        for work, outcome in zip(works, outcomes, strict=True)
    ]


def _alone(database: Database, work: Work[Any]) -> Outcome:
    outcome: Outcome = (None, None)
    for _ in range(TRIES_ALONE):
        outcomes, fault = _attempt(partial(_together, database, [work]))
        outcome = outcomes[0] if fault is None else (None, fault)
        if not _is_deadlock(outcome[1]):
            break
    return outcome


def _is_deadlock(fault: Exception | None) -> bool:
    return getattr(getattr(fault, "orig", None), "sqlstate", None) == DEADLOCK


def _together(database: Database, works: Sequence[Work[Any]]) -> list[Outcome]:
    """Run all in one transaction; when one raises, once more with a SAVEPOINT around each.

    Savepoints would be two of the three statements that a submission costs, and each statement
    gives up the interpreter's lock and has to win it back from a busy loop.
    """
    try:
        with database.write() as tx:
            tx.info[_MEMO] = {}
            return [(_plainly(tx, work), None) for work in works]
    except _WorkFailed as failed:
        if len(works) == 1 or _is_deadlock(failed.fault):
            return [(None, failed.fault)] * len(works)
    with database.write() as tx:
        tx.info[_MEMO] = {}
        return [_in_savepoint(tx, work) for work in works]


class _WorkFailed(Exception):
    """One piece of work raised, and the connection is still there."""

    def __init__(self, fault: Exception) -> None:
        super().__init__()
        self.fault = fault


def _plainly(tx: sa.Connection, work: Work[Any]) -> Any:
    try:
        return work(tx)
    except Exception as fault:
        if tx.invalidated:
            raise
        raise _WorkFailed(fault) from fault


def _in_savepoint(tx: sa.Connection, work: Work[Any]) -> Outcome:
    try:
        with tx.begin_nested():
            value = work(tx)
    except Exception as fault:
        if tx.invalidated:  # the connection is gone, and with it the work of all others
            raise
        return None, fault
    return value, None


def _told(fault: Exception) -> Exception:
    if not isinstance(fault, UNAVAILABLE):
        return fault
    logger.warning("the database does not answer", extra={"reason": reason_of(fault)})
    return StoreUnavailable(
        "The database does not answer, so nothing was read or accepted. Try again in a moment.",
        retry_after=1,
    )
