"""A sealed value opens at its place and nowhere else, and is replaced without a trace."""

from __future__ import annotations

import itertools

import pytest
import sqlalchemy as sa

from shared.crypto import SealBroken, Sealer, sealed_with
from shared.keyring import Keyring
from shared.store import sealed
from shared.store.database import Database
from shared.store.schema import provider
from shared.store.sealed import COLUMNS, SealedColumn, Stored
from tests import sealedrows

OLD = Keyring.generate()
NEW = OLD.with_coming_key().promoted()
ROWS = ("row-1", "row-2", "row-3")
BY_NAME = {str(column): column for column in COLUMNS}
CHAT_REQUEST = BY_NAME["chat_job.request_sealed"]
PROVIDER_KEY = BY_NAME["provider.api_key_sealed"]


def test_what_must_be_sealed_is() -> None:
    """Keys, what people and servers wrote; see section 8 of the design."""
    needed = {
        "provider.api_key_sealed",
        "discovery.error_sealed",
        "provider_check.request_sealed",
        "provider_check.result_sealed",
        "chat_job.request_sealed",
        "chat_job.result_sealed",
        "chat_job.error_sealed",
    }
    assert needed <= {str(column) for column in COLUMNS}


@pytest.mark.parametrize("column", COLUMNS, ids=str)
def test_a_place_is_table_row_and_column_and_the_row_is_one_text(column: SealedColumn) -> None:
    assert isinstance(column.key.type, sa.Text)
    assert column.place("r") == {"table": column.table.name, "row": "r", "column": column.name}


def test_a_value_moved_to_any_other_place_does_not_open(database: Database) -> None:
    sealer = Sealer(OLD)
    sealedrows.fill(database, sealer, ROWS)
    stolen = {column: sealedrows.values(database, column)["row-1"] for column in COLUMNS}
    refused = 0
    for column, target in itertools.product(COLUMNS, COLUMNS):
        with database.write() as tx:
            tx.execute(sa.update(target.table).values({target.name: stolen[column]}))
        for row, moved in sealedrows.values(database, target).items():
            assert moved == stolen[column]
            if (target, row) == (column, "row-1"):
                assert sealer.open(moved, **target.place(row)) == sealedrows.plain(column, row)
            else:
                with pytest.raises(SealBroken, match="does not open here"):
                    sealer.open(moved, **target.place(row))
                refused += 1
    assert refused == len(COLUMNS) ** 2 * len(ROWS) - len(COLUMNS)


def test_batches_walk_over_all_stale_values_and_no_others(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sealed, "ROWS", 3)
    sealedrows.fill(database, Sealer(OLD), [f"old-{n}" for n in range(7)])
    sealedrows.fill(database, Sealer(NEW), [f"new-{n}" for n in range(7)])
    walked, after = list[list[str]](), ""
    with database.read() as tx:
        assert sealed.count(tx, CHAT_REQUEST) == 14
        assert sealed.count_stale(tx, CHAT_REQUEST, NEW.primary) == 7
        assert sealed.count_sealed_with(tx, CHAT_REQUEST, OLD.primary) == 7
        while batch := sealed.batch(tx, CHAT_REQUEST, but=NEW.primary, after=after):
            walked.append([value.row for value in batch])
            after = batch[-1].row
    assert walked == [
        ["old-0", "old-1", "old-2"],
        ["old-3", "old-4", "old-5"],
        ["old-6"],
    ]


def test_a_batch_is_bounded_in_characters_and_never_empty(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    sealedrows.fill(database, Sealer(OLD), ROWS)
    for characters, rows in ((1, 1), (150, 2), (10_000, 3)):
        monkeypatch.setattr(sealed, "CHARACTERS", characters)
        with database.read() as tx:
            assert len(sealed.batch(tx, CHAT_REQUEST, but=NEW.primary, after="")) == rows


def test_whoever_wrote_meanwhile_wins_and_nothing_else_of_the_row_changes(
    database: Database,
) -> None:
    column = PROVIDER_KEY
    sealedrows.fill(database, Sealer(OLD), ROWS)
    with database.read() as tx:
        before = {row["id"]: row for row in tx.execute(sa.select(provider)).mappings()}
        batch = sealed.batch(tx, column, but=NEW.primary, after="")
    theirs = Sealer(OLD).seal(b"a newer key", **column.place("row-2"))
    with database.write() as tx:
        tx.execute(
            sa.update(provider).where(provider.c.id == "row-2").values(api_key_sealed=theirs)
        )
        tx.execute(sa.update(provider).where(provider.c.id == "row-3").values(api_key_sealed=None))
    sealer = Sealer(NEW)
    renewed = {each: sealer.renewed(each.sealed, **column.place(each.row)) for each in batch}
    with database.write() as tx:
        sealed.replace(tx, column, renewed)
        after = {row["id"]: row for row in tx.execute(sa.select(provider)).mappings()}
    assert sealed_with(after["row-1"]["api_key_sealed"]) == NEW.primary
    assert after["row-2"]["api_key_sealed"] == theirs
    assert after["row-3"]["api_key_sealed"] is None
    for row in ROWS:
        changed = {name for name, value in after[row].items() if value != before[row][name]}
        assert changed == {"api_key_sealed"}


def test_a_row_that_somebody_is_changing_is_not_waited_for(database: Database) -> None:
    if database.is_sqlite:
        pytest.skip("SQLite has one writer at a time")
    column = PROVIDER_KEY
    sealedrows.fill(database, Sealer(OLD), ROWS)
    with database.read() as tx:
        batch = sealed.batch(tx, column, but=NEW.primary, after="")
    renewed = {each: Sealer(NEW).seal(b"", **column.place(each.row)) for each in batch}
    with database.write() as theirs:
        theirs.execute(sa.update(provider).where(provider.c.id == "row-2").values(revision=2))
        with database.write() as tx:
            sealed.replace(tx, column, renewed)
    keys = {row: sealed_with(value) for row, value in sealedrows.values(database, column).items()}
    assert keys == {"row-1": NEW.primary, "row-2": OLD.primary, "row-3": NEW.primary}


def test_the_case_of_a_key_id_counts(database: Database) -> None:
    column = PROVIDER_KEY
    sealedrows.fill(database, Sealer(OLD), ROWS[:1])
    with database.write() as tx:
        tx.execute(sa.update(provider).values(api_key_sealed="v1.AB.x.y"))
        assert sealed.count_stale(tx, column, "ab") == 1
        assert sealed.batch(tx, column, but="ab", after="") == [Stored("row-1", "v1.AB.x.y")]
