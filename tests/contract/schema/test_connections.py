"""Connections that a PostgreSQL ended while nobody used them are replaced, not told of."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from shared.store import database as module
from shared.store.database import Database

PID = sa.text("SELECT pg_backend_pid()")


@pytest.fixture(autouse=True)
def only_postgresql(database: Database) -> None:
    if database.is_sqlite:
        pytest.skip("SQLite has no connection that somebody else could end")


def test_a_connection_that_rested_is_looked_at_before_its_use(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RESTED_SECONDS", 0.0)
    with database.read() as one, database.read() as other:
        ended = {one.execute(PID).scalar_one(), other.execute(PID).scalar_one()}
    killer = Database(database.engine.url.render_as_string(hide_password=False), pool_size=1)
    with killer.read() as tx:
        for pid in ended:
            tx.execute(sa.text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})
    killer.dispose()
    with database.read() as one, database.look() as other, database.write() as third:
        used = {each.execute(PID).scalar_one() for each in (one, other, third)}
    assert not used & ended


def test_a_look_is_no_transaction(database: Database) -> None:
    with database.look() as tx:
        tx.execute(sa.text("SELECT 1"))
        raw = tx.connection.dbapi_connection
        assert raw is not None
        assert raw.info.transaction_status.name == "IDLE"
    with database.read() as tx:  # the same connection has them again
        tx.execute(sa.text("SELECT 1"))
        raw = tx.connection.dbapi_connection
        assert raw is not None
        assert raw.info.transaction_status.name == "INTRANS"
