"""A store that grows tenfold, and what each use of it costs before and after."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from shared.store.database import Database
from tests.contract.growth.meter import work_of
from tests.contract.growth.scene import Scene
from tests.contract.growth.uses import LISTS, TRAILS, USAGE, WORK, Use

if TYPE_CHECKING:
    from tests.postgres import PostgresServer

EXPIRED = 600  # more than one purge takes
DAYS = 0.5, 5.0


@dataclass(frozen=True, slots=True)
class Grown:
    """By the name of each use: its work with some jobs, and with ten times as many."""

    database: str
    cost: Mapping[str, tuple[int, int]]


@pytest.fixture(scope="package", params=["sqlite", "postgresql"])
def grown(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Grown:
    """What everything costs, on a database of its own."""
    database = Database(_url(request, tmp_path_factory.mktemp("growth")))
    scene = Scene(database)
    scene.begin()
    scene.expire(EXPIRED)
    few, many = DAYS
    scene.grow(few, before=0.0)
    before = _costs(scene)
    scene.grow(many - few, before=few)
    after = _costs(scene)
    database.dispose()
    return Grown(request.param, {name: (cost, after[name]) for name, cost in before.items()})


def _url(request: pytest.FixtureRequest, folder: Path) -> str:
    if request.param == "sqlite":
        shutil.copyfile(request.getfixturevalue("migrated_file"), folder / "store.db")
        return f"sqlite:///{folder / 'store.db'}"
    server: PostgresServer = request.getfixturevalue("postgres_server")
    return server.fresh_database(template=request.getfixturevalue("migrated_database"))


def _costs(scene: Scene) -> dict[str, int]:
    return {name: _cost(scene, use) for name, use in {**WORK, **LISTS, **TRAILS, **USAGE}.items()}


def _cost(scene: Scene, use: Use) -> int:
    with scene.database.engine.connect() as tx:
        cost = work_of(tx, lambda: use(tx, scene))
        tx.rollback()
    return cost
