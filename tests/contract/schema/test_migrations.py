"""Migrations lead to the tables that the code declares, and back."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from shared.store.database import Database
from shared.store.migrate import alembic_config, upgrade
from shared.store.opening import SCHEMA_REVISION
from shared.store.schema import installation, metadata


def test_the_newest_migration_makes_exactly_the_declared_tables(database: Database) -> None:
    with database.read() as tx:
        context = MigrationContext.configure(tx, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []


def test_migrating_twice_changes_nothing(database: Database) -> None:
    with database.write() as tx:
        upgrade(tx)
    with database.read() as tx:
        assert tx.execute(sa.select(installation.c.revision)).scalars().all() == [SCHEMA_REVISION]


def test_the_code_expects_the_newest_migration(database: Database) -> None:
    with database.read() as tx:
        scripts = ScriptDirectory.from_config(alembic_config(tx))
    assert scripts.get_current_head() == f"{SCHEMA_REVISION:04d}"


def test_every_migration_can_be_undone(database: Database) -> None:
    with database.write() as tx:
        command.downgrade(alembic_config(tx), "base")
        left = set(sa.inspect(tx).get_table_names())
    assert left == {"alembic_version"}
    with database.write() as tx:
        upgrade(tx)
