"""A store that grows tenfold, and what each use of it costs before and after."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from shared.store.database import Database
from tests.contract.growth.meter import work_of
from tests.contract.growth.scene import Scene
from tests.contract.growth.uses import LISTS, QUEUES, TRAILS, USAGE, WORK, Use

if TYPE_CHECKING:
    from tests.postgres import PostgresServer

EXPIRED = 600  # more than one purge takes
DAYS = 0.5, 5.0
QUEUED = 600, 6_000


@dataclass(frozen=True, slots=True)
class Grown:
    """By the name of each use: its work with some jobs, and with ten times as many."""

    database: str
    cost: Mapping[str, tuple[int, int]]


@pytest.fixture(scope="package", params=["sqlite", "postgresql"])
def scene(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Scene]:
    """A store of its own, with few jobs."""
    database = Database(_url(request, tmp_path_factory.mktemp("growth")))
    scene = Scene(database)
    scene.begin()
    yield scene
    database.dispose()


@pytest.fixture(scope="package")
def grown(scene: Scene) -> Grown:
    """What everything costs with some finished jobs, and with ten times as many."""
    few, many = DAYS
    scene.expire(EXPIRED)
    scene.grow(few, before=0.0)
    uses = {**WORK, **LISTS, **TRAILS, **USAGE}
    before = costs(scene, uses)
    scene.grow(many - few, before=few)
    return _both(scene, before, costs(scene, uses))


@pytest.fixture(scope="package")
def queued(scene: Scene, grown: Grown) -> Grown:
    """What everything costs with some queued jobs, and with ten times as many; last of all."""
    few, many = QUEUED
    scene.queue(few, seed=50)
    before = costs(scene, QUEUES)
    scene.queue(many - few, seed=60)
    return _both(scene, before, costs(scene, QUEUES))


def _both(scene: Scene, few: Mapping[str, int], many: Mapping[str, int]) -> Grown:
    name = "sqlite" if scene.database.is_sqlite else "postgresql"
    return Grown(name, {use: (cost, many[use]) for use, cost in few.items()})


def _url(request: pytest.FixtureRequest, folder: Path) -> str:
    if request.param == "sqlite":
        shutil.copyfile(request.getfixturevalue("migrated_file"), folder / "store.db")
        return f"sqlite:///{folder / 'store.db'}"
    server: PostgresServer = request.getfixturevalue("postgres_server")
    return server.fresh_database(template=request.getfixturevalue("migrated_database"))


def costs(scene: Scene, uses: Mapping[str, Use]) -> dict[str, int]:
    """The work of each use, by its name."""
    scene.analyze()
    return {name: _cost(scene, use) for name, use in uses.items()}


def _cost(scene: Scene, use: Use) -> int:
    with scene.database.engine.connect() as tx:
        cost = work_of(tx, lambda: use(tx, scene))
        tx.rollback()
    return cost
