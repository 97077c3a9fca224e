"""Migrations lead to the tables that the code declares, and back."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from msgspec.structs import replace

from shared.store import jobs, providers
from shared.store.database import Database
from shared.store.migrate import alembic_config, upgrade
from shared.store.opening import SCHEMA_REVISION
from shared.store.schema import installation, job_metadata, metadata
from tests.bulk import Kind
from tests.contract.growth.scene import Scene
from tests.contract.job_store.conftest import new_provider


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


def test_what_was_noted_before_lists_had_a_table_of_it_is_found_in_it(database: Database) -> None:
    provider = new_provider("noted")
    scene = Scene(database, kinds=[Kind(provider.id, ["noted/one"])] * 2)
    noted = [{"run": "1", "long": "é" * 101}, {}, {"run": "2"}]
    made = [replace(scene.new_job(), metadata=metadata) for metadata in noted]
    made.append(replace(scene.new_job(), metadata={"run": "3"}, store=False))
    with database.write() as tx:
        providers.create(tx, provider)
        assert all(jobs.insert(tx, job) for job in made)
        command.downgrade(alembic_config(tx), "0007")
    with database.write() as tx:
        upgrade(tx)
        of_them = sa.select(*job_metadata.c).where(job_metadata.c.owner == made[0].owner)
        found = {tuple(row) for row in tx.execute(of_them)}
    assert found == {
        (made[0].owner, "run", "1", made[0].id),
        (made[0].owner, "long", "é" * 100, made[0].id),
        (made[2].owner, "run", "2", made[2].id),
    }


def test_every_migration_can_be_undone(database: Database) -> None:
    with database.write() as tx:
        command.downgrade(alembic_config(tx), "base")
        left = set(sa.inspect(tx).get_table_names())
    assert left == {"alembic_version"}
    with database.write() as tx:
        upgrade(tx)
