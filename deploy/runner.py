"""The local runner: ordered start with readiness, restart with backoff, reverse-order stop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from deploy.child import Child, NotReady, Program, ending
from deploy.guard import Guard
from deploy.runfile import ProcessEntry


class Write(Protocol):
    """Where lines go."""

    def __call__(self, name: str, /, *lines: str, level: str = "INFO") -> None:
        """Take lines that the program of this name printed; `level` is for those that tell none."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to wait before a restart, in seconds: doubling, forgotten after a calm spell."""

    first: float = 0.5
    factor: float = 2
    longest: float = 30
    calm: float = 10

    def after(self, previous: float | None, ran: float) -> float:
        """The wait after a run of `ran` seconds that itself followed a wait of `previous`."""
        if previous is None or ran >= self.calm:
            return self.first
        return min(previous * self.factor, self.longest)


class Supervised:
    """One program kept running until it is stopped; `entry` is its row of `run.json`."""

    def __init__(
        self,
        program: Program,
        guard: Guard,
        write: Write,
        changed: Callable[[], None],
        backoff: Backoff,
    ) -> None:
        self.program = program
        self.entry = ProcessEntry(program.name)
        self._guard = guard
        self._write = write
        self._changed = changed
        self._backoff = backoff
        self._child: Child | None = None
        self._supervision: asyncio.Task[None] | None = None

    def _show(self, state: str) -> None:
        self.entry.state = state
        self._changed()

    async def start(self) -> None:
        """Start it and wait until it is ready; raises NotReady. From then on it is restarted."""
        await self._start_once()
        self._supervision = asyncio.create_task(self._supervise(), name=self.program.name)

    async def _start_once(self) -> None:
        name = self.program.name
        child = self._child = Child(self.program, self._guard, partial(self._write, name))
        self.entry.started_at = time.time()

        def spawned() -> None:
            self.entry.pid = child.pid
            self._show("starting")

        await child.start(spawned)
        self._show("running")

    async def _supervise(self) -> None:
        name, wait = self.program.name, None
        while True:
            started = time.monotonic()
            reason = await self._one_run()
            wait = self._backoff.after(wait, time.monotonic() - started)
            self.entry.restarts += 1
            self.entry.pid = None
            self._show("waiting")
            told = f"{reason}; restart {self.entry.restarts} in {wait:g} s"
            self._write("dragoman", told, level="WARNING")
            await asyncio.sleep(wait)
            self._write("dragoman", f"restarting {name}")

    async def _one_run(self) -> str:
        """Why the run ended, as words. The first run of all is already going on."""
        name = self.program.name
        if self.entry.state != "running":
            try:
                await self._start_once()
            except NotReady as problem:
                return str(problem).rstrip(".")
        assert self._child is not None  # noqa: S101 - started
        return f"{name} {ending(await self._child.wait())}"

    async def stop(self, hurry: asyncio.Event) -> None:
        """Stop restarting, then stop it: at once when `hurry` is set."""
        if self._supervision:
            self._supervision.cancel()
            await asyncio.gather(self._supervision, return_exceptions=True)
        if self._child:
            await self._child.stop(hurry)
        self.entry.pid = None
        self._show("ended")


class Runner:
    """Keeps programs running, in the order given. `write` gets all that they print."""

    def __init__(
        self,
        programs: Iterable[Program],
        guard: Guard,
        write: Write,
        changed: Callable[[], None] = lambda: None,
        backoff: Backoff | None = None,
    ) -> None:
        self._guard = guard
        self._write = write
        self._supervised = [
            Supervised(program, guard, write, changed, backoff or Backoff()) for program in programs
        ]

    @property
    def entries(self) -> list[ProcessEntry]:
        """A row for each program, in order of start."""
        return [one.entry for one in self._supervised]

    async def start(self) -> None:
        """Start stage by stage, each when all of the stage before are ready; raises NotReady.

        A program that starts `beside` the one before it shares its stage: starting is importing,
        and that goes as fast as there are cores.
        """
        stages: list[list[Supervised]] = []
        for one in self._supervised:
            if one.program.beside and stages:
                stages[-1].append(one)
            else:
                stages.append([one])
        for stage in stages:
            try:
                async with asyncio.TaskGroup() as starting:
                    for one in stage:
                        starting.create_task(one.start())
            except* NotReady as several:
                raise several.exceptions[0] from None

    async def run_once(self, program: Program) -> int:
        """Run a program that does its work and ends; its exit status."""
        child = Child(program, self._guard, partial(self._write, program.name))
        await child.spawn()
        try:
            return await child.wait()
        finally:
            hurry = asyncio.Event()
            hurry.set()
            await child.stop(hurry)

    async def stop(self, hurry: asyncio.Event) -> None:
        """Stop in reverse order, each within its own time; all at once when `hurry` is set."""
        for one in reversed(self._supervised):
            await one.stop(hurry)
