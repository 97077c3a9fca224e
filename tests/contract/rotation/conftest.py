"""An installation with sealed rows in every table, whose master key is rotated."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from deploy.rotation import rotate
from shared import config
from shared.config import Settings
from shared.crypto import sealed_with
from shared.keyring import Keyring, KeyringFile
from shared.store.database import Database
from shared.store.migrate import migrate
from shared.store.opening import open_store
from shared.store.schema import leader
from shared.store.sealed import COLUMNS
from tests import sealedrows

ROWS = [f"row-{n:02}" for n in range(12)]


@dataclass
class Installation:
    """A migrated database with its keyring file; `said` is what the command printed."""

    settings: Settings
    database: Database
    said: list[str] = field(default_factory=list)

    @property
    def file(self) -> KeyringFile:
        return KeyringFile(self.settings.keyring_file)

    @property
    def keyring(self) -> Keyring:
        """As the file holds it now."""
        return self.file.read()[0]

    def rotate(self, **options: Any) -> None:
        rotate(self.settings, self.said.append, **{"wait": 0.0, **options})

    def keys_in_use(self) -> set[str]:
        """The ids of the keys that anything stored is sealed with."""
        return {
            sealed_with(value)
            for column in COLUMNS
            for value in sealedrows.values(self.database, column).values()
        }

    def check_all_readable(self) -> None:
        """A process that starts now starts, and opens everything."""
        database, sealer = open_store(self.settings)
        database.dispose()
        assert sealedrows.all_open(self.database, sealer) == len(ROWS) * len(COLUMNS)

    def forget_lease(self) -> None:
        """As if the time of a killed rotation's lease had passed."""
        with self.database.write() as tx:
            tx.execute(sa.delete(leader))


@pytest.fixture(scope="package")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data directory of an installation on SQLite, to be copied: migrating takes longer."""
    folder = tmp_path_factory.mktemp("template") / "data"
    _prepare(config.load({"DRAGOMAN_DATA_DIR": str(folder)}))
    return folder


@pytest.fixture(params=["sqlite", "postgresql"])
def installation(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Installation]:
    """On each database: twelve rows in every table with sealed columns."""
    if request.param == "sqlite":
        yield request.getfixturevalue("local")
        return
    url = request.getfixturevalue("postgres_server").fresh_database()
    settings = config.load({"DATABASE_URL": url, "DRAGOMAN_DATA_DIR": str(tmp_path / "data")})
    _prepare(settings)
    yield from _opened(settings, monkeypatch)


@pytest.fixture
def local(
    template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Installation]:
    """The same on SQLite, for what is no matter of the database."""
    shutil.copytree(template, tmp_path / "data")
    settings = config.load({"DRAGOMAN_DATA_DIR": str(tmp_path / "data")})
    yield from _opened(settings, monkeypatch)


def _prepare(settings: Settings) -> None:
    migrate(settings)
    database, sealer = open_store(settings)
    sealedrows.fill(database, sealer, ROWS)
    database.dispose()


def _opened(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Installation]:
    monkeypatch.setattr("deploy.rotation.BETWEEN_PASSES", 0.0)
    monkeypatch.setattr("deploy.resealing.SHORTEST_PAUSE", 0.0)
    database = Database(settings.database_url)
    yield Installation(settings, database)
    database.dispose()
