"""Transactions that share a commit: what fails, fails alone; what returns is durable."""

from __future__ import annotations

import itertools
import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import gevent
import pytest
import sqlalchemy as sa
from sqlalchemy import exc

from services.registry.database import LARGEST_BATCH, Transactions, open_database
from shared import config
from shared.errors import NotFound, StoreUnavailable
from shared.store.database import Database

Work = Callable[[sa.Connection], int]


class Table:
    """A table of numbers, written through Transactions and read past them."""

    def __init__(self, database: Database, shared: Transactions, own: Database) -> None:
        self.database = database
        self.own = own
        self.transactions = shared
        self.commits = 0
        with database.write() as tx:
            tx.exec_driver_sql("CREATE TABLE number (n INTEGER PRIMARY KEY)")
        sa.event.listen(own.engine, "commit", self._count)

    def _count(self, _: sa.Connection) -> None:
        self.commits += 1

    def all(self) -> list[int]:
        with self.database.read() as tx:
            return list(tx.execute(sa.text("SELECT n FROM number ORDER BY n")).scalars())

    def write_all(self, works: list[Work]) -> list[Any]:
        """What each returned or raised, all asked for at once."""

        def write(work: Work) -> Any:
            try:
                return self.transactions.write(work)
            except Exception as fault:
                return fault

        calls = [gevent.spawn(write, work) for work in works]
        gevent.joinall(calls, timeout=20, raise_error=True)
        return [call.value for call in calls]


def insert(n: int, then: Exception | None = None) -> Work:
    def work(tx: sa.Connection) -> int:
        tx.execute(sa.text("INSERT INTO number VALUES (:n)"), {"n": n})
        if then is not None:
            raise then
        return n

    return work


@pytest.fixture
def table(database_url: str) -> Iterator[Table]:
    """Over a database without any other table."""
    database, own = (
        Database(database_url),
        open_database(config.load({"DATABASE_URL": database_url})),
    )
    shared = Transactions(own)
    yield Table(database, shared, own)
    shared.close()
    database.dispose()


def test_writes_that_wait_together_share_their_commits(table: Table) -> None:
    assert table.write_all([insert(n) for n in range(100)]) == list(range(100))
    assert table.all() == list(range(100))
    assert table.commits <= 2


def test_an_idle_writer_commits_at_once(table: Table) -> None:
    assert table.transactions.write(insert(1)) == 1
    assert table.all() == [1]
    assert table.commits == 1


def test_a_batch_has_a_bound(table: Table) -> None:
    assert len(table.write_all([insert(n) for n in range(2 * LARGEST_BATCH + 50)])) == 450
    assert table.commits >= 3


def test_work_that_raises_fails_alone_and_leaves_nothing(table: Table) -> None:
    refusal = NotFound("Expected something, got nothing.")
    works = [insert(0), insert(1, then=refusal), insert(2), insert(2), insert(3)]
    outcomes = table.write_all(works)
    assert outcomes[:3] == [0, refusal, 2]
    assert isinstance(outcomes[3], sa.exc.IntegrityError)
    assert outcomes[4] == 3
    assert table.all() == [0, 2, 3]


def test_work_that_raises_in_a_batch_of_its_own_leaves_nothing(table: Table) -> None:
    with pytest.raises(NotFound):
        table.transactions.write(insert(1, then=NotFound("no")))
    assert table.all() == []
    assert table.transactions.write(insert(1)) == 1


def test_reads_run_while_a_write_waits_for_its_turn(table: Table) -> None:
    numbers = itertools.count()
    with table.database.write() as tx:
        insert(99)(tx)  # holds SQLite's one write lock
        waiting = gevent.spawn(table.transactions.write, insert(next(numbers)))
        if not table.database.is_sqlite:
            waiting.join(0.01)
        count = sa.text("SELECT count(*) FROM number")
        assert table.transactions.read(lambda tx: tx.execute(count).scalar_one()) == (
            0 if table.database.is_sqlite else 1
        )
    waiting.join(10)
    assert table.all() == [0, 99]


def test_a_database_that_cannot_be_opened_is_unavailable_for_reads_and_writes() -> None:
    nowhere = open_database(config.load({"DATABASE_URL": "sqlite:////nowhere/at/all.db"}))
    transactions = Transactions(nowhere)
    select = sa.text("SELECT 1")
    for call in (transactions.read, transactions.write):
        with pytest.raises(StoreUnavailable) as raised:
            call(lambda tx: tx.execute(select))
        assert raised.value.retry_after == 1
    transactions.close()


def test_closing_commits_what_waits(table: Table) -> None:
    calls = [gevent.spawn(table.transactions.write, insert(n)) for n in range(10)]
    gevent.sleep(0)
    table.transactions.close()
    gevent.joinall(calls, timeout=5)
    assert table.all() == list(range(10))


def test_processes_that_write_the_same_rows_in_opposite_orders_all_succeed(
    table: Table, database_url: str
) -> None:
    if table.database.is_sqlite:
        pytest.skip("SQLite has one writer")
    both_hold_one = threading.Barrier(2)
    met = threading.local()  # a circle that is broken is tried again: they meet but once

    def upsert(n: int) -> Work:
        def work(tx: sa.Connection) -> int:
            tx.execute(sa.text("INSERT INTO number VALUES (:n) ON CONFLICT DO NOTHING"), {"n": n})
            if not hasattr(met, "once"):
                met.once = both_hold_one.wait(10)
            return n

        return work

    def process(*numbers: int) -> list[Any]:
        own = Transactions(open_database(config.load({"DATABASE_URL": database_url})))
        calls = [gevent.spawn(own.write, upsert(n)) for n in numbers]
        gevent.joinall(calls, timeout=20)
        own.close()
        return [call.value for call in calls]

    with ThreadPoolExecutor(2) as threads:
        processes = [threads.submit(process, *numbers) for numbers in ((1, 2), (2, 1))]
        assert [each.result(30) for each in processes] == [[1, 2], [2, 1]]
    assert table.all() == [1, 2]


def test_a_glance_at_sqlite_needs_no_other_thread_and_one_that_fails_fails_alone(
    table: Table,
) -> None:
    table.transactions.write(insert(7))
    threads: set[int] = set()

    def glance(n: int) -> Any:
        def work(tx: sa.Connection) -> int:
            threads.add(threading.get_ident())
            if n == 3:
                raise NotFound("Expected another number, got 3.")
            return int(tx.execute(sa.text("SELECT n FROM number")).scalar_one())

        try:
            return table.transactions.glance(work)
        except NotFound as fault:
            return fault.code

    answers = [glance(n) for n in range(50)]
    assert answers.pop(3) == "not_found"
    assert answers == [7] * 49
    assert threads == {threading.get_ident()}


def test_a_glance_sees_what_was_written_a_moment_ago(table: Table) -> None:
    count = sa.text("SELECT count(*) FROM number")
    for n in range(20):
        table.transactions.write(insert(n))
        assert table.transactions.glance(lambda tx: tx.execute(count).scalar_one()) == n + 1


def test_a_glance_that_meets_a_lock_waits_for_it_in_another_thread(table: Table) -> None:
    if not table.database.is_sqlite:
        pytest.skip("PostgreSQL's readers wait for nobody")
    threads: list[int] = []

    def work(tx: sa.Connection) -> int:
        threads.append(threading.get_ident())
        if len(threads) == 1:  # as while another process recovers the log after a crash
            raise exc.OperationalError("SELECT", {}, sqlite3.OperationalError("database is locked"))
        return int(tx.execute(sa.text("SELECT count(*) FROM number")).scalar_one())

    assert table.transactions.glance(work) == 0
    assert threads[0] == threading.get_ident() != threads[1]
    assert table.transactions.glance(work) == 0
    assert threads[2] == threading.get_ident()
