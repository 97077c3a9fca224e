"""How far a run is: a bar on a terminal, else a line now and then; on standard error."""

from __future__ import annotations

import asyncio
import sys
import time
from typing import Final

from cli import wording
from cli.jobs.results import Results
from cli.jobs.sending import Sending
from cli.session import Session

EVERY: Final = 0.2
LINES_EVERY: Final = 10.0


class Progress:
    """The state of one run of `total` lines, `begun_with` of which had their result before."""

    def __init__(self, session: Session, sending: Sending, results: Results, total: int) -> None:
        self._session = session
        self._sending = sending
        self._results = results
        self._total = total
        self._begun_with = len(results)
        self._began = time.monotonic()

    async def show(self) -> None:
        """Show it until cancelled."""
        if sys.stderr.isatty() and not self._session.out.as_json:
            await self._bar()
        else:
            while True:
                await asyncio.sleep(LINES_EVERY)
                self._session.out.status(self.text())

    def text(self) -> str:
        """Counts and rate."""
        told = [f"{len(self._results):,} of {self._total:,}"]
        told += [f"{n:,} {s}" for s, n in self._results.statuses.items() if s != "completed"]
        if self._sending.refused:
            told.append(f"{len(self._sending.refused):,} refused")
        told.append(f"{self._sending.under_way:,} under way")
        elapsed = time.monotonic() - self._began
        rate = (len(self._results) - self._begun_with) / elapsed if elapsed > 0 else 0
        if rate > 0:
            left = self._total - len(self._results) - len(self._sending.refused)
            told.append(f"{rate:.1f}/s, {wording.spelled(max(left, 0) / rate)} left")
        if self._sending.holding:
            told.append(wording.one_line(self._sending.holding))
        return ", ".join(told)

    async def _bar(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn
        from rich.progress import Progress as Bar

        console = Console(file=sys.stderr, highlight=False)
        columns = (BarColumn(bar_width=24), TextColumn("{task.description}", markup=False))
        with Bar(*columns, console=console, auto_refresh=False, transient=True) as bar:
            task = bar.add_task(self.text(), total=self._total)
            while True:
                done = len(self._results) + len(self._sending.refused)
                bar.update(task, completed=done, description=self.text(), refresh=True)
                await asyncio.sleep(EVERY)
