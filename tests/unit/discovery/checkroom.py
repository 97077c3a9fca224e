"""A runner of checks over a real store, and a registry that begins them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy import exc

from services.discovery_worker.checks import Checks
from services.discovery_worker.ledger import Ledger
from services.discovery_worker.report import Report, Wanted
from shared import ids
from shared.crypto import Sealer
from shared.keyring import Keyring
from shared.store import checks as store
from shared.store.checks import REQUEST, RESULT, TABLE, Check
from shared.store.database import Database
from tests.registered import NOW

TIMEOUT = 10.0
REQUESTED = {"endpoint": "http://h:1", "api_key": "sk-1", "options": {}, "chat": False}


class Runs:
    """A tester whose tests do as they are told: one step, then wait for `go`, then another."""

    def __init__(self) -> None:
        self.wanted: list[Wanted] = []
        self.go = asyncio.Event()
        self.defect = False

    async def test(
        self, wanted: Wanted, report: Report, progress: Callable[[], Awaitable[None]]
    ) -> None:
        self.wanted.append(wanted)
        report.add("resolve", "ok", "h is an address.", ms=1)
        await progress()
        if self.defect:
            raise ZeroDivisionError("sk-1")
        await self.go.wait()
        report.add("connect", "ok", "Connected.", ms=2)
        await progress()


class Moody(Ledger):
    """A ledger whose database can be away for what is filled in."""

    away = False

    async def fill_check(self, *arguments: Any, **more: Any) -> bool:
        if self.away:
            raise exc.OperationalError("UPDATE", {}, Exception("no route"))
        return await super().fill_check(*arguments, **more)


class Stage:
    """A runner over a real store, and a registry that begins checks."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.sealer = Sealer(Keyring.generate())
        self.now = NOW
        self.runs = Runs()
        self.ledger = Moody(database)
        self.checks = Checks(
            self.ledger, self.runs, self.sealer, clock=lambda: self.now, dice=lambda: 0.5
        )

    def begin(self, plain: bytes | None = None, *, at: str | None = None) -> str:
        check_id = ids.new(ids.CHECK)
        sealed = self.sealer.seal(
            json.dumps(REQUESTED).encode() if plain is None else plain,
            table=TABLE,
            row=at or check_id,
            column=REQUEST,
        )
        with self.database.write() as tx:
            store.insert(tx, check_id, key_id="key_1", request_sealed=sealed, now=self.now)
        self.checks.look_soon()
        return check_id

    def check(self, check_id: str) -> Check | None:
        with self.database.read() as tx:
            return store.get(tx, check_id, now=self.now)

    def steps(self, check_id: str) -> list[dict[str, Any]]:
        found = self.check(check_id)
        if found is None or found.result_sealed is None:
            return []
        plain = self.sealer.open(found.result_sealed, table=TABLE, row=check_id, column=RESULT)
        steps: list[dict[str, Any]] = json.loads(plain)["steps"]
        return steps

    async def until(self, holds: Callable[[], object]) -> None:
        async with asyncio.timeout(TIMEOUT):
            while not await asyncio.to_thread(holds):
                await asyncio.sleep(0.01)

    async def done(self, check_id: str) -> dict[str, dict[str, Any]]:
        """The steps by name, once the check is done."""

        def is_done() -> bool:
            found = self.check(check_id)
            return found is not None and found.done

        await self.until(is_done)
        return {step["name"]: step for step in self.steps(check_id)}

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.checks.run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            self.ledger.close()
