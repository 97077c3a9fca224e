"""A runner over dummy processes, and the file on which they say what happened to them."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

from deploy.child import Program
from deploy.guard import Guard
from deploy.runner import Backoff, Runner
from tests.eventually import eventually

DUMMY = Path(__file__).with_name("dummy.py")


def dummy(name: str, file: Path, *behaviours: str, start: float = 10, stop: float = 10) -> Program:
    """A program that runs the dummy; times in seconds."""
    command = (sys.executable, "-S", str(DUMMY), name, str(file), *behaviours)
    return Program(name, command, dict(os.environ), start, stop)


class Events:
    """What the dummies wrote: (name, event, pid)."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "events"
        self.file.touch()

    def all(self) -> list[tuple[str, str, int]]:
        lines = self.file.read_text().splitlines()
        return [(name, event, int(pid)) for name, event, pid in map(str.split, lines)]

    def words(self) -> list[str]:
        return [f"{name} {event}" for name, event, _ in self.all()]

    def pids(self, name: str | None = None) -> list[int]:
        """Everyone that ever started, or one name's, in order."""
        return [pid for who, event, pid in self.all() if event == "started" and name in (None, who)]


class Stage:
    """A guarded runner in this process; `lines` collects what was written, `name: line`.

    `warnings` has those of them that were written as such.
    """

    def __init__(self, folder: Path, programs: list[Program], backoff: Backoff) -> None:
        self.lines: list[str] = []
        self.warnings: list[str] = []
        self.changes: list[list[str]] = []
        self.guard = Guard(folder / "watchdog.lock", lambda line: self.lines.append(line))
        self.runner = Runner(programs, self.guard, self._write, self._changed, backoff)
        self.hurry = asyncio.Event()

    def _write(self, name: str, *lines: str, level: str = "INFO") -> None:
        told = [f"{name}: {line}" for line in lines]
        self.lines += told
        if level == "WARNING":
            self.warnings += told

    def _changed(self) -> None:
        self.changes.append([entry.state for entry in self.runner.entries])


def perform(
    folder: Path,
    programs: list[Program],
    play: Callable[[Stage], Awaitable[None]],
    backoff: Backoff | None = None,
) -> Stage:
    """Run `play` on a new stage; whatever happens, everything has ended afterwards."""

    async def run() -> Stage:
        stage = Stage(folder, programs, backoff or Backoff(first=0.05))
        await stage.guard.start()
        try:
            await play(stage)
        finally:
            await stage.runner.stop(stage.hurry)
            await stage.guard.close()
        return stage

    return asyncio.run(run())


async def soon(ask: Callable[[], object], seconds: float = 10) -> None:
    """Wait until it holds, letting the runner work meanwhile."""
    await asyncio.to_thread(lambda: eventually(ask, seconds))


def alive(pids: list[int]) -> Iterator[int]:
    """Those that still run (a zombie whose parent is gone does not)."""
    for pid in pids:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        if state != "Z":
            yield pid
