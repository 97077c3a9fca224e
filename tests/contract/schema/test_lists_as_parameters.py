"""A list of ids is one parameter, found by the index; many rows go by one prepared statement."""

from __future__ import annotations

import sqlalchemy as sa

from shared.store.among import among
from shared.store.database import Database
from shared.store.prepared import Prepared
from shared.store.schema import chat_job, leader

FIND = Prepared(
    sa.select(leader.c.name).where(among(leader.c.name, "names")).order_by(leader.c.name)
)
LEADERS = [{"name": name, "holder": "x", "lease_until": 1.5} for name in ("a", 'b"', "c,d")]


def test_any_number_of_texts_is_found_by_one_statement(database: Database) -> None:
    with database.write() as tx:
        Prepared(sa.insert(leader)).many(tx, LEADERS)
        for names in ([], ["a"], ['b"', "c,d", "not there"]):
            found = [row[0] for row in FIND.all(tx, {"names": names})]
            assert found == [name for name in names if name != "not there"]


def test_the_rows_are_searched_for_and_the_table_is_not_read(database: Database) -> None:
    """A condition of the type Boolean would be `(…) = 1` on SQLite, and read the whole table."""
    query = sa.select(chat_job.c.id).where(
        among(chat_job.c.id, "ids"), sa.text("chat_job.state = 'queued'")
    )
    text = str(query.compile(dialect=database.engine.dialect))
    assert " = 1" not in text
    if database.is_sqlite:
        with database.read() as tx:
            plan = tx.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}", ("[]",)).all()
        assert "SEARCH chat_job USING INDEX sqlite_autoindex_chat_job_1" in plan[0][-1]


def test_a_prepared_statement_begins_a_transaction_as_any_other_does(database: Database) -> None:
    with database.engine.connect() as tx:
        Prepared(sa.insert(leader)).many(tx, LEADERS)
        tx.rollback()
    with database.read() as tx:
        assert FIND.all(tx, {"names": ["a"]}) == []
