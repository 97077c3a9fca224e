"""The audit trail beside its readers over HTTP: the command line writes to it, too."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa

from shared import config
from shared.config import Settings
from shared.store import audit
from shared.store.audit import Action, Actor, Wanted
from shared.store.database import Database
from shared.store.migrate import migrate
from shared.store.opening import SCHEMA_REVISION
from shared.store.schema import api_key


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    """Settings for this database, nothing made yet."""
    return config.load({"DATABASE_URL": database_url, "DRAGOMAN_DATA_DIR": str(tmp_path / "data")})


def test_migrating_tells_of_the_schema_and_of_the_first_key_once(settings: Settings) -> None:
    migrate(settings)
    migrate(settings)
    database = Database(settings.database_url)
    with database.read() as tx:
        first, second = audit.page(tx, Wanted(), limit=9, after=None, newest_first=False)
        key_id = tx.execute(sa.select(api_key.c.id)).scalar_one()
    database.dispose()
    assert (first.action, first.detail) == ("schema.migrate", {"from": None, "to": SCHEMA_REVISION})
    assert (second.action, second.subject) == ("key.create", key_id)
    assert {one.actor for one in (first, second)} == {Actor("cli")}


def test_an_owner_is_not_taken_for_the_command_line(database: Database) -> None:
    with database.write() as tx:
        for actor in (Actor("cli"), Actor("cli", "ann", "key_1"), Actor("x", "cli", "key_2")):
            audit.append(tx, actor, Action.KEY_CREATE, at=1.0)
    with database.read() as tx:
        found = {
            name: {
                (one.actor.name, one.actor.owner)
                for one in audit.page(
                    tx, Wanted(actor=name), limit=9, after=None, newest_first=True
                )
            }
            for name in ("cli", "ann", "nobody")
        }
    assert found == {
        "cli": {("cli", None), ("x", "cli")},
        "ann": {("cli", "ann")},
        "nobody": set(),
    }
