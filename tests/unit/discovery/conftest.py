"""A scheduler over a real store, and servers that do as they are told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import exc

from services.discovery_worker.checker import Checker
from services.discovery_worker.figures import Figures
from services.discovery_worker.ledger import Ledger
from services.discovery_worker.scheduler import Scheduler
from shared.store import catalogue
from shared.store.database import Database
from shared.store.discovery import Candidate
from shared.store.migrate import upgrade
from shared.store.schema import discovery
from shared.upstream import Bounds, ListedModel, ModelList, Target
from tests.registered import NOW, Registered

TIMEOUT = 10.0


class Servers:
    """Every server that there is: answers with one model, unless its host is held or broken."""

    def __init__(self) -> None:
        self.held: set[str] = set()
        self.broken: set[str] = set()
        self.calls: list[str] = []
        self.open: dict[str, int] = {}
        self.most_open: dict[str, int] = {}
        self.changed = asyncio.Condition()

    async def list_models(self, target: Target, bounds: Bounds) -> ModelList:
        host = target.models_url.split("/")[2].partition(".")[0]
        self.calls.append(host)
        self.open[host] = self.open.get(host, 0) + 1
        self.most_open[host] = max(self.open[host], self.most_open.get(host, 0))
        try:
            async with self.changed:
                self.changed.notify_all()
                if host in self.broken:
                    raise RuntimeError("a defect of ours")
                await self.changed.wait_for(lambda: host not in self.held)
        finally:
            self.open[host] -= 1
        return ModelList((ListedModel(f"of-{host}", None, None, None, {}),), 0)

    async def release(self, *hosts: str) -> None:
        async with self.changed:
            self.held -= set(hosts)
            self.changed.notify_all()

    async def called(self, reached: Callable[[Sequence[str]], bool]) -> None:
        """Wait until the calls so far satisfy this."""
        async with asyncio.timeout(TIMEOUT), self.changed:
            await self.changed.wait_for(lambda: reached(self.calls))


class Moody(Ledger):
    """A ledger whose database can be away."""

    away = False
    looks = 0

    async def look(self, **arguments: Any) -> Sequence[Candidate]:
        self.looks += 1
        self._answer()
        return await super().look(**arguments)

    async def record(self, *arguments: Any, **more: Any) -> bool:
        self._answer()
        return await super().record(*arguments, **more)

    def _answer(self) -> None:
        if self.away:
            raise exc.OperationalError("SELECT 1", {}, Exception("no route"))


class Stage:
    """A scheduler over a real store, servers that do as they are told, and a clock."""

    def __init__(self, database: Database, servers: Servers | None = None) -> None:
        self.database = database
        self.registry = Registered.on(database)
        self.servers = servers or Servers()
        self.ledger = Moody(database)
        self.now = NOW
        self.figures = Figures()
        self.scheduler = Scheduler(
            self.ledger,
            Checker(self.servers, self.registry.sealer),
            self.registry.sealer,
            interval=300.0,
            figures=self.figures,
            clock=lambda: self.now,
            dice=lambda: 0.5,
        )

    def another_worker(self) -> Stage:
        """A second worker at the same database, before the same servers."""
        return Stage(self.database, self.servers)

    async def until(self, holds: Callable[[], object]) -> None:
        """Wait until what is stored satisfies this."""
        async with asyncio.timeout(TIMEOUT):
            while not await asyncio.to_thread(holds):
                await asyncio.sleep(0.01)

    async def listed(self, *ids: str) -> None:
        """Wait until each of these providers lists a model."""

        def all_listed() -> bool:
            with self.database.read() as tx:
                return {m.provider_id for m in catalogue.models(tx, ids)} == set(ids)

        await self.until(all_listed)

    def checked_at(self, provider_id: str) -> float | None:
        with self.database.read() as tx:
            found = catalogue.verdicts(tx, [provider_id]).get(provider_id)
        return found.checked_at if found else None

    def key_verified_at(self, provider_id: str) -> float | None:
        with self.database.read() as tx:
            return catalogue.verdicts(tx, [provider_id])[provider_id].key_verified_at

    def model_ids(self, provider_id: str) -> list[str]:
        with self.database.read() as tx:
            return [model.upstream_id for model in catalogue.models(tx, [provider_id])]

    def refresh_seen(self, provider_id: str) -> int:
        query = sa.select(discovery.c.refresh_seen).where(discovery.c.provider_id == provider_id)
        with self.database.read() as tx:
            return int(tx.execute(query).scalar_one())


Play = Callable[[Callable[[Stage], Awaitable[None]]], None]


@asynccontextmanager
async def working(stage: Stage) -> AsyncIterator[None]:
    task = asyncio.create_task(stage.scheduler.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        stage.ledger.close()


@pytest.fixture
def play(tmp_path: Path) -> Play:
    """Run a scene on a new stage."""

    def run(scene: Callable[[Stage], Awaitable[None]]) -> None:
        database = Database(f"sqlite:///{tmp_path / 'store.db'}")
        with database.write() as tx:
            upgrade(tx)

        async def main() -> None:
            await scene(Stage(database))

        try:
            asyncio.run(main())
        finally:
            database.dispose()

    return run
