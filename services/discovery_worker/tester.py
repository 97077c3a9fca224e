"""One test of values that are not saved yet, step by step, as `API.md` section 3 says.

Nothing here takes another way than a chat or a discovery would: the same resolver, guard and
client. A step that fails ends the test; what follows is skipped.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final, TypeAlias

from services.discovery_worker import advice, asking, reaching
from services.discovery_worker.asking import Caller
from services.discovery_worker.reaching import Prober
from services.discovery_worker.report import Report, Wanted
from services.discovery_worker.trial import Skipped, Trial
from shared.upstream import Obstacle

TEST_SECONDS: Final = 28.0  # in all: who asked waits for 30 s

Progress: TypeAlias = Callable[[], Awaitable[None]]


class Tester:
    """Runs tests, any number at once."""

    def __init__(self, caller: Caller, prober: Prober, *, seconds: float = TEST_SECONDS) -> None:
        self._caller = caller
        self._prober = prober
        self._seconds = seconds

    async def test(self, wanted: Wanted, report: Report, progress: Progress) -> None:
        """Fill the report; `progress` is awaited after each step that took time."""
        trial = Trial(wanted, report, self._seconds)
        try:
            async with asyncio.timeout(self._seconds):
                await self._steps(trial, progress)
        except TimeoutError:
            message = f"Expected the whole test to end within {self._seconds:g} s, but it did not."
            report.add(report.next_step, "failed", message, remedy=advice.OUT_OF_TIME)
        finally:
            trial.close()
        report.finish()

    async def _steps(self, trial: Trial, progress: Progress) -> None:
        caller, prober = self._caller, self._prober
        in_order: dict[str, Callable[[], Awaitable[str]]] = {
            "resolve": partial(reaching.resolve, trial, prober),
            "connect": partial(reaching.connect, trial, prober),
            "tls": partial(reaching.secure, trial, prober),
            "models": partial(asking.list_models, trial, caller),
            "authenticate": partial(asking.authenticate, trial, caller),
            "chat": partial(asking.chat, trial, caller),
        }
        clock = asyncio.get_running_loop().time
        for name, step in in_order.items():
            began = clock()
            try:
                said = await step()
            except Obstacle as met:
                took = round((clock() - began) * 1000)
                trial.report.add(name, "failed", met.message, ms=took, remedy=met.remedy)
                return
            if isinstance(said, Skipped):
                trial.report.add(name, "skipped", str(said))
            else:
                trial.report.add(name, "ok", said, ms=round((clock() - began) * 1000))
                await progress()
