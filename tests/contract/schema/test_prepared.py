"""A prepared statement finds and refuses what the same statement does by SQLAlchemy itself."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from sqlalchemy import exc

from shared.store.database import UNAVAILABLE, Database
from shared.store.prepared import Prepared
from shared.store.schema import api_key, installation, provider

PROVIDER = {
    "id": "prov_1",
    "name": "One",
    "name_folded": "one",
    "slug": "one",
    "endpoint": "http://h",
    "chat_url": "http://h/v1/chat/completions",
    "models_url": "http://h/v1/models",
    "host": "h",
    "port": 80,
    "description": "a % sign, a ? and a :colon",
    "tags": ["a", "ü"],
    "visibility": "everyone",
    "options": {"nested": {"list": [1, 2.5, None, True]}},
    "enabled": True,
    "revision": 1,
    "created_at": 1.5,
    "updated_at": 2.25,
}
ALL = sa.select(provider).where(provider.c.slug == sa.bindparam("wanted"))


def insert(*more: str) -> sa.Insert:
    names = [*PROVIDER, *more]
    return sa.insert(provider).values({name: sa.bindparam(name) for name in names})


def test_rows_are_those_of_sqlalchemy(database: Database) -> None:
    with database.write() as tx:
        Prepared(insert()).all(tx, PROVIDER)
    with database.read() as tx:
        plain = tx.execute(ALL, {"wanted": "one"}).one()
        assert list(Prepared(ALL).first(tx, {"wanted": "one"}) or ()) == list(plain)
        assert plain._mapping["options"] == PROVIDER["options"]
        assert Prepared(ALL).first(tx, {"wanted": "two"}) is None


def test_one_statement_serves_both_databases_and_literals_are_kept(database: Database) -> None:
    statement = Prepared(
        sa.select(sa.literal(7), sa.bindparam("flag", type_=sa.Boolean())).where(sa.literal(1) == 1)
    )
    with database.read() as tx:
        assert list(statement.all(tx, {"flag": False})[0]) == [7, False]
        assert list(statement.all(tx, {"flag": True})[0]) == [7, True]


def test_returning_tells_what_was_written(database: Database) -> None:
    statement = Prepared(insert().returning(provider.c.id, provider.c.tags))
    with database.write() as tx:
        assert list(statement.first(tx, PROVIDER) or ()) == ["prov_1", PROVIDER["tags"]]


def test_its_errors_are_those_of_sqlalchemy(database: Database) -> None:
    statement = Prepared(insert())

    def twice() -> None:
        with database.write() as tx:
            statement.all(tx, PROVIDER)
            statement.all(tx, PROVIDER)

    with pytest.raises(exc.IntegrityError) as caught:
        twice()
    assert not isinstance(caught.value, UNAVAILABLE)
    assert "nested" not in str(caught.value)  # values may be secret
    with database.read() as tx:
        assert tx.execute(sa.select(sa.func.count()).select_from(provider)).scalar_one() == 0


def test_a_missing_value_is_no_null(database: Database) -> None:
    statement = Prepared(sa.select(api_key.c.id).where(api_key.c.id == sa.bindparam("key_id")))
    with database.read() as tx, pytest.raises(KeyError):
        statement.all(tx, {})


def test_expanding_parameters_are_refused_at_once(database: Database) -> None:
    wanted: sa.BindParameter[str] = sa.bindparam("ids", expanding=True)
    statement = Prepared(sa.select(api_key.c.id).where(api_key.c.id.in_(wanted)))
    with database.read() as tx, pytest.raises(TypeError, match="expanding"):
        statement.all(tx, {"ids": ["a"]})


def test_a_connection_that_was_ended_is_not_used_again(database: Database) -> None:
    if database.is_sqlite:
        pytest.skip("SQLite has no connection that somebody else could end")
    statement = Prepared(sa.select(installation.c.revision))
    gone = False

    def end_it() -> None:
        nonlocal gone
        with database.read() as other, database.read() as tx:
            (pid,) = tx.execute(sa.text("SELECT pg_backend_pid()")).one()
            other.execute(sa.text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})
            try:
                statement.all(tx, {})
            finally:
                gone = tx.invalidated

    with pytest.raises(exc.OperationalError) as caught:
        end_it()
    assert gone
    assert caught.value.connection_invalidated
    with database.read() as tx:
        assert statement.first(tx, {}) is not None


def numbered(count: int) -> list[dict[str, object]]:
    """So many providers, each with values of its own."""
    return [
        PROVIDER
        | {
            "id": f"prov_{number}",
            "name": f'It\'s "{number}"',
            "name_folded": str(number),
            "slug": f"p-{number}",
            "tags": [str(number), "ü"],
            "created_at": number + 0.1,
            "description": "x" * number,
            "api_key_last4": None if number % 3 else f"…{number}",
        }
        for number in range(count)
    ]


@pytest.mark.parametrize("count", [0, 1, 2, 3, 31, 32, 33, 70])
def test_many_rows_are_written_as_if_one_by_one(database: Database, count: int) -> None:
    rows = numbered(count)
    rename = (
        sa.update(provider)
        .where(provider.c.id == sa.bindparam("its_id"), provider.c.revision == 1)
        .values(slug=sa.bindparam("new"), revision=provider.c.revision + sa.bindparam("more"))
    )
    moves = [{"its_id": row["id"], "new": f"q-{row['slug']}", "more": 2} for row in rows[::2]]
    with database.write() as tx:
        Prepared(insert("api_key_last4")).many(tx, rows)
        Prepared(rename).many(tx, [*moves, {"its_id": "prov_none", "new": "x", "more": 1}])
    names = ("id", "name", "tags", "options", "enabled", "created_at", "api_key_last4")
    columns = [provider.c[name] for name in (*names, "slug", "revision")]
    with database.read() as tx:
        found = {row.id: row for row in tx.execute(sa.select(*columns))}
    assert len(found) == count
    for place, row in enumerate(rows):
        moved = place % 2 == 0
        slug, revision = (f"q-{row['slug']}", 3) if moved else (row["slug"], 1)
        assert tuple(found[str(row["id"])]) == (*(row[name] for name in names), slug, revision)


def test_a_row_that_is_refused_takes_the_others_with_it(database: Database) -> None:
    with pytest.raises(exc.IntegrityError), database.write() as tx:
        Prepared(insert("api_key_last4")).many(tx, [*numbered(5), numbered(1)[0]])
    with database.read() as tx:
        assert tx.execute(sa.select(sa.func.count()).select_from(provider)).scalar_one() == 0


def test_what_changed_is_counted(database: Database) -> None:
    disable = Prepared(
        sa.update(provider)
        .where(provider.c.created_at < sa.bindparam("before"))
        .values(enabled=sa.false())
    )
    with database.write() as tx:
        Prepared(insert("api_key_last4")).many(tx, numbered(5))
        assert disable.changed(tx, {"before": 3.0}) == 3
        assert disable.changed(tx, {"before": 0.0}) == 0
