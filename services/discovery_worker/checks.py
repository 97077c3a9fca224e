"""Checks of unsaved providers: which ones this worker runs, and how their steps are stored.

It looks every second by itself; a message only shortens the wait. A person waits for each, so they
run beside discovery, a few at once, and hold up no server's discovery.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

from services.discovery_worker import advice
from services.discovery_worker.ledger import Ledger
from services.discovery_worker.report import (
    Report,
    Step,
    Unreadable,
    Wanted,
    read_steps,
    read_wanted,
)
from shared.crypto import SealBroken, Sealer
from shared.errors import DragomanError
from shared.store.checks import REQUEST, RESULT, TABLE, CheckClaim
from shared.store.database import UNAVAILABLE

SLOTS: Final = 8  # checks at once
LOOK_SECONDS: Final = 1.0  # ± 20 %, so that workers do not look in step
WRITE_AGAIN_SECONDS: Final = 1.0

logger = logging.getLogger(__name__)


class Runs(Protocol):
    """What is needed of `tester.Tester`."""

    async def test(
        self, wanted: Wanted, report: Report, progress: Callable[[], Awaitable[None]]
    ) -> None:
        """Fill the report; `progress` is awaited after each step that took time."""


class _TakenOver(DragomanError):
    """Another worker holds this check now."""


class Checks:
    """Runs checks; `clock` is in Unix seconds, `dice` in [0, 1)."""

    def __init__(
        self,
        ledger: Ledger,
        tester: Runs,
        sealer: Sealer,
        *,
        clock: Callable[[], float] = time.time,
        dice: Callable[[], float] = random.random,
    ) -> None:
        self._ledger = ledger
        self._tester = tester
        self._sealer = sealer
        self._clock = clock
        self._dice = dice
        self._wake = asyncio.Event()
        self._running: dict[asyncio.Task[None], CheckClaim] = {}

    def look_soon(self) -> None:
        """Look at the database now: a check was begun."""
        self._wake.set()

    async def run(self) -> None:
        """Work until cancelled; then checks under way end, and their claims are given back."""
        try:
            while True:
                self._wake.clear()
                try:
                    await self._look()
                except UNAVAILABLE:
                    logger.debug("checks wait for the database")  # the scheduler tells of it
                await self._rest(LOOK_SECONDS * (0.8 + 0.4 * self._dice()))
        finally:
            await self._abandon()

    async def _rest(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            pass

    async def _look(self) -> None:
        room = SLOTS - len(self._running)
        for claim in await self._ledger.claim_checks(now=self._clock(), limit=room):
            task = asyncio.create_task(self._run_one(claim), name=claim.id)
            self._running[task] = claim
            task.add_done_callback(self._done)

    async def _run_one(self, claim: CheckClaim) -> None:
        report = Report()
        try:
            await self._fill(claim, report)
        except _TakenOver:
            logger.info("another worker took a check over", extra={"check": claim.id})
            return
        except Exception:
            logger.exception("a check failed by a defect of ours", extra={"check": claim.id})
            message = "Expected this step to end with a verdict, but the worker itself failed."
            report.add(report.next_step, "failed", message, remedy=advice.OUR_DEFECT)
        report.finish()
        await self._write_end(claim, report)

    async def _fill(self, claim: CheckClaim, report: Report) -> None:
        """Run the check, or say why it cannot be run."""

        async def progress() -> None:
            try:
                written = await self._write(claim, report, done=False)
            except UNAVAILABLE:
                logger.debug("steps of a check are not stored: those that follow hold them, too")
            else:
                if not written:
                    raise _TakenOver

        try:
            if claim.is_lost:
                report.steps = self._earlier_steps(claim)
                message = "Expected this step to end, but each worker that tried it ended first."
                report.add(report.next_step, "failed", message, remedy=advice.OUR_DEFECT)
                return
            wanted = read_wanted(self._open(claim, claim.request_sealed, REQUEST))
        except (SealBroken, Unreadable) as fault:
            message = f"Expected a request that this worker can read, got another: {fault}."
            report.add(report.next_step, "failed", message, remedy=advice.TEST_ANEW)
            return
        await self._tester.test(wanted, report, progress)

    def _earlier_steps(self, claim: CheckClaim) -> list[Step]:
        if claim.result_sealed is None:
            return []
        return read_steps(self._open(claim, claim.result_sealed, RESULT))

    def _open(self, claim: CheckClaim, sealed: str, column: str) -> bytes:
        return self._sealer.open(sealed, table=TABLE, row=claim.id, column=column)

    async def _write(self, claim: CheckClaim, report: Report, *, done: bool) -> bool:
        sealed = self._sealer.seal(report.document(), table=TABLE, row=claim.id, column=RESULT)
        return await self._ledger.fill_check(claim, result_sealed=sealed, done=done)

    async def _write_end(self, claim: CheckClaim, report: Report) -> None:
        """Write the end, for as long as the claim is ours: another run would chat once more."""
        while True:
            try:
                await self._write(claim, report, done=True)
                return
            except UNAVAILABLE:
                if self._clock() > claim.until:
                    raise
                await asyncio.sleep(WRITE_AGAIN_SECONDS)

    def _done(self, task: asyncio.Task[None]) -> None:
        claim = self._running.pop(task)
        self._wake.set()
        fault = None if task.cancelled() else task.exception()
        if fault is not None:
            logger.error(
                "the end of a check could not be written; another try follows",
                extra={"check": claim.id},
                exc_info=fault,
            )

    async def _abandon(self) -> None:
        running = dict(self._running)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        if running:
            await self._ledger.release_checks(list(running.values()))
