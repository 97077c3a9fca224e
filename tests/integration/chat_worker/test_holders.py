"""No running row is ever without somebody who will end it."""

from __future__ import annotations

import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy import exc

from services.chat_worker.keeper import Keeper
from shared.domain import JobState
from shared.store.database import Database
from tests.eventually import eventually
from tests.integration.chat_worker.conftest import Bench, local_worker


@contextmanager
def write_lock(bench: Bench) -> Iterator[sqlite3.Connection]:
    """Keep everybody else from writing to the SQLite database."""
    path: Path = bench.folder / "dragoman.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield connection
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def test_a_repeatable_call_is_repeated_after_an_outage_longer_than_the_lease(
    bench: Bench,
) -> None:
    worker = bench.start_worker()
    bench.upstream.hold()
    job_id = bench.submit(on_interrupt="retry")
    bench.upstream.wait_until(lambda stats: stats.in_flight == 1, 10)
    with write_lock(bench):
        # The worker gives up waiting for the lock after 5 s, when its lease of 1 s is long over.
        eventually(lambda: worker.said("a lock in the database was not free"), 15)
        bench.upstream.wait_until(lambda stats: stats.closed_early == 1, 5)
    bench.upstream.release()
    (job,) = bench.ended(job_id)
    assert (job.state, job.calls) == (JobState.COMPLETED, 2)


def test_a_claim_that_is_under_way_at_a_stop_is_not_forgotten(bench: Bench) -> None:
    worker = bench.start_worker(DRAGOMAN_LEASE_SECONDS="60")
    job_id = bench.submit()
    with write_lock(bench):
        worker.send(signal.SIGTERM)
        eventually(lambda: worker.said("Warm shutdown"), 10)
    assert worker.process.wait(30) == 0
    assert bench.workers_listed() == 0
    bench.start_worker()
    bench.ended(job_id)
    assert bench.upstream.calls_of(job_id).begun == 1


def test_a_stop_right_after_the_start_ends_in_order(bench: Bench) -> None:
    for _ in range(2):
        assert bench.start_worker().stop() == 0
    assert bench.workers_listed() == 0


class LossyDatabase(Database):
    """Commits a claim, and loses the answer to the COMMIT, once."""

    lose_next = False

    @contextmanager
    def write(self) -> Iterator[sa.Connection]:
        with super().write() as tx:
            before = self._running(tx)
            yield tx
            claimed = self._running(tx) > before
        if claimed and self.lose_next:
            self.lose_next = False
            raise exc.OperationalError("COMMIT", {}, Exception("connection lost"))

    @staticmethod
    def _running(tx: sa.Connection) -> int:
        query = sa.text("SELECT count(*) FROM chat_job WHERE state = 'in_progress'")
        return int(tx.execute(query).scalar_one())


@pytest.fixture
def lossy(bench: Bench) -> Iterator[tuple[LossyDatabase, Keeper]]:
    """A keeper in this process, over a database that may lose an answer."""
    database = LossyDatabase(bench.settings.database_url)
    with local_worker(bench, database) as worker:
        yield database, worker.keeper
    database.dispose()


def test_a_claim_whose_commit_was_not_confirmed_goes_back_uncounted_and_is_made_again(
    bench: Bench, lossy: tuple[LossyDatabase, Keeper]
) -> None:
    database, keeper = lossy
    database.lose_next = True
    job_id = bench.submit()
    keeper.ring()
    (job,) = bench.ended(job_id)
    assert not database.lose_next
    assert (job.state, job.calls) == (JobState.COMPLETED, 1)
    assert bench.upstream.calls_of(job_id).begun == 1
