"""One suite, every database: `database` is a freshly migrated SQLite, then a PostgreSQL."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from shared.store.database import Database
from shared.store.migrate import upgrade

if TYPE_CHECKING:
    from tests.postgres import PostgresServer


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'store.db'}"
    url: str = request.getfixturevalue("postgres_server").fresh_database()
    return url


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite, to be copied: that takes 2 ms, migrating 50."""
    path = tmp_path_factory.mktemp("migrated") / "store.db"
    _migrate(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def migrated_database(postgres_server: PostgresServer) -> str:
    """The URL of a migrated PostgreSQL, to be copied."""
    url = postgres_server.fresh_database()
    _migrate(url)
    return url


@pytest.fixture(params=["sqlite", "postgresql"])
def migrated_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a migrated database without rows of anybody."""
    if request.param == "sqlite":
        path = tmp_path / "store.db"
        shutil.copyfile(request.getfixturevalue("migrated_file"), path)
        return f"sqlite:///{path}"
    template: str = request.getfixturevalue("migrated_database")
    server: PostgresServer = request.getfixturevalue("postgres_server")
    return server.fresh_database(template=template)


@pytest.fixture
def database(migrated_url: str) -> Iterator[Database]:
    """A migrated database."""
    database = Database(migrated_url, pool_size=8)
    yield database
    database.dispose()


def _migrate(url: str) -> None:
    database = Database(url)
    with database.write() as tx:
        upgrade(tx)
    database.dispose()
