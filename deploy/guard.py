"""The runner's end of the watchdog: tells it which process groups live, and keeps it alive."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from pathlib import Path

from deploy import watchdog
from deploy.refusal import Refusal

# The watchdog of a killed runner ends within 2 s; more means that something is wrong.
START_SECONDS = 10.0


class Guard:
    """Owns the watchdog process. `lock_file` is the lock that only one watchdog holds."""

    def __init__(self, lock_file: Path, say: Callable[[str], None]) -> None:
        self.lock_file = lock_file
        self._say = say
        self._groups: set[int] = set()
        self._pipe: int | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._watch: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start the watchdog; waits until what an earlier runner left has ended.

        Raises Refusal when that takes longer than 10 s.
        """
        await self._spawn()
        self._watch = asyncio.create_task(self._keep_alive(), name="watchdog")

    async def _spawn(self) -> None:
        reader, self._pipe = os.pipe()
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-I",
                watchdog.__file__,
                str(self.lock_file),
                stdin=reader,
                stdout=asyncio.subprocess.PIPE,
                start_new_session=True,
            )
        finally:
            os.close(reader)
        self._process = process
        assert process.stdout is not None  # noqa: S101 - asked for above
        try:
            async with asyncio.timeout(START_SECONDS):
                ready = await process.stdout.readline()
        except TimeoutError:
            process.kill()
            ready = b""
        if ready != b"ready\n":
            raise Refusal(
                f"The watchdog did not start: another one still holds {self.lock_file}; "
                "processes of an earlier run may still be ending."
            )
        for group in self._groups:
            self._tell(f"+{group}\n")

    async def _keep_alive(self) -> None:
        while self._process is not None:
            await self._process.wait()
            self._say("the watchdog ended; starting another")
            self._close_pipe()
            try:
                await self._spawn()
            except Refusal as problem:
                self._say(str(problem))

    def add(self, group: int) -> None:
        """From now on this process group ends with the runner."""
        self._groups.add(group)
        self._tell(f"+{group}\n")

    def remove(self, group: int) -> None:
        """The group has ended."""
        self._groups.discard(group)
        self._tell(f"-{group}\n")

    def _tell(self, line: str) -> None:
        if self._pipe is None:
            return  # between two watchdogs: the next is told of all groups
        try:
            os.write(self._pipe, line.encode())
        except BrokenPipeError:
            self._close_pipe()

    def _close_pipe(self) -> None:
        if self._pipe is not None:
            os.close(self._pipe)
            self._pipe = None

    async def close(self) -> None:
        """End the watchdog, which ends whatever group was not removed."""
        if self._watch:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)
        self._close_pipe()
        if self._process is not None:
            await self._process.wait()
            self._process = None
