"""An installation with sealed rows in every table, whose master key is rotated."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from deploy.rotation import rotate
from shared import config
from shared.config import Settings
from shared.crypto import Sealer, sealed_with
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


@pytest.fixture
def installation(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Installation]:
    """Twelve rows in every table with sealed columns; no pause between two passes."""
    monkeypatch.setattr("deploy.rotation.BETWEEN_PASSES", 0.0)
    monkeypatch.setattr("deploy.resealing.SHORTEST_PAUSE", 0.0)
    settings = config.load(
        {"DATABASE_URL": database_url, "DRAGOMAN_DATA_DIR": str(tmp_path / "data")}
    )
    migrate(settings)
    database = Database(settings.database_url)
    made = Installation(settings, database)
    sealedrows.fill(database, Sealer(made.keyring), ROWS)
    yield made
    database.dispose()
