"""A PostgreSQL that says nothing is away after a while, whatever its kernel acknowledges."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from shared.store import database as module
from shared.store.database import ANSWER_SECONDS, LOCK_TIMEOUT_MS, UNAVAILABLE, Database
from shared.store.prepared import Prepared
from tests.faultproxy import FaultProxy, Way, fault_proxy
from tests.postgres import PostgresServer

BOUND = 0.4  # seconds
ONE = sa.text("SELECT 1")
PID = sa.text("SELECT pg_backend_pid()")


@pytest.fixture
def proxy(postgres_server: PostgresServer) -> Iterator[FaultProxy]:
    with fault_proxy(("127.0.0.1", postgres_server.port)) as started:
        yield started


@pytest.fixture
def database(postgres_server: PostgresServer, proxy: FaultProxy) -> Iterator[Database]:
    direct = postgres_server.fresh_database()
    url = direct.replace(f":{postgres_server.port}/", f":{proxy.port}/")
    opened = Database(url, pool_size=1, answer_seconds=BOUND)
    yield opened
    opened.dispose()


def test_a_silent_server_is_away_within_the_bound_and_its_connection_is_not_used_again(
    database: Database, proxy: FaultProxy
) -> None:
    with database.engine.connect() as connection:
        connection.execute(ONE)
        proxy.switch(back=Way(held=True))
        began = time.monotonic()
        with pytest.raises(UNAVAILABLE):
            connection.execute(ONE)
        assert BOUND <= time.monotonic() - began < 10 * BOUND
        assert connection.invalidated
    proxy.heal()  # and what was held comes: nobody may take it for an answer of his own
    with database.read() as tx:
        assert tx.execute(sa.text("SELECT 2")).scalar_one() == 2


def test_nobody_waits_for_another_connection_of_a_server_that_fell_silent(
    database: Database, proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each was asked first whether it lives, for as long again: 35 s of a frozen PostgreSQL."""
    monkeypatch.setattr(module, "RESTED_SECONDS", 0.0)
    url = database.engine.url.render_as_string(hide_password=False)
    pool = Database(url, pool_size=2, answer_seconds=BOUND)
    with pool.read() as one, pool.read() as other:
        known = {one.execute(PID).scalar_one(), other.execute(PID).scalar_one()}
    asked: list[object] = []
    monkeypatch.setattr(pool.engine.dialect, "do_ping", asked.append)
    proxy.switch(back=Way(held=True))
    with pytest.raises(UNAVAILABLE), pool.read() as tx:
        Prepared(PID).first(tx, {})  # the driver itself: SQLAlchemy does not hear of it
    assert len(asked) == 1
    proxy.heal()
    with pool.read() as tx:
        assert tx.execute(PID).scalar_one() not in known
    assert len(asked) == 1
    pool.dispose()


def test_a_commit_that_is_not_answered_is_no_commit(database: Database, proxy: FaultProxy) -> None:
    with database.write() as tx:
        tx.execute(sa.text("CREATE TABLE told (id int)"))
    with pytest.raises(UNAVAILABLE), database.write() as tx:  # noqa: PT012
        tx.execute(sa.text("INSERT INTO told VALUES (1)"))
        proxy.switch(there=Way(swallowed=True))
    proxy.heal()
    with database.read() as tx:
        assert tx.execute(sa.text("SELECT count(*) FROM told")).scalar_one() == 0


def test_a_statement_may_wait_for_its_lock_first() -> None:
    assert ANSWER_SECONDS > 2 * LOCK_TIMEOUT_MS / 1000


def test_errors_of_a_statement_stay_what_they_are(database: Database) -> None:
    with pytest.raises(sa.exc.ProgrammingError), database.read() as tx:
        tx.execute(sa.text("SELECT nothing"))
    with pytest.raises(sa.exc.OperationalError, match="canceling"), database.read() as tx:  # noqa: PT012
        tx.execute(sa.text("SET LOCAL statement_timeout = 50"))
        tx.execute(sa.text("SELECT pg_sleep(5)"))
    with database.read() as tx:
        assert tx.execute(ONE).scalar_one() == 1
