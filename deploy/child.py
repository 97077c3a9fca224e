"""One process of the runner's: started in a group of its own, read, awaited, stopped."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from typing import BinaryIO

from deploy.guard import Guard
from deploy.refusal import Refusal
from shared.config import READY_FD

# The program starts only after the watchdog knows its group: the shell waits for a line, and ends
# when the pipe does. So there is no moment at which the runner's death leaves it behind.
_GATE = ("/bin/sh", "-c", 'read -r _ && exec "$@" </dev/null', "dragoman")
_PROBE_SECONDS = 0.02
_LONGEST_LINE = 16_384


@dataclass(frozen=True, slots=True)
class Program:
    """What to run. Times are in seconds.

    `probe` says whether it is ready; without one it says so itself, by a line to the descriptor
    in DRAGOMAN_READY_FD. One that starts `beside` the one before it does not wait for that.
    """

    name: str
    command: tuple[str, ...]
    environ: Mapping[str, str] = field(repr=False)
    start_seconds: float = 60
    stop_seconds: float = 10
    probe: Callable[[], Awaitable[bool]] | None = None
    beside: bool = False


class NotReady(Refusal):
    """The process ended, or took too long, before it was ready."""


class Child:
    """One run of a program; `write` gets the lines that it prints, as they come."""

    def __init__(self, program: Program, guard: Guard, write: Callable[..., None]) -> None:
        self.program = program
        self._guard = guard
        self._write = write
        self._process: asyncio.subprocess.Process | None = None
        self._ended: asyncio.Task[int] | None = None

    @property
    def pid(self) -> int | None:
        """The process's id, which is also its group's; None before it was spawned."""
        return self._process.pid if self._process else None

    async def spawn(self, descriptor: int | None = None) -> None:
        """Start the process, with `descriptor` to announce itself on."""
        environ = dict(self.program.environ)
        if descriptor is not None:
            environ[READY_FD] = str(descriptor)
        # Pipes of our own: asyncio's would keep `wait` from returning while a grandchild prints.
        with ExitStack() as stack:
            gate, opener = (stack.enter_context(end) for end in _pipe())
            printed, printer = (stack.enter_context(end) for end in _pipe())
            process = await asyncio.create_subprocess_exec(
                *_GATE,
                *self.program.command,
                env=environ,
                stdin=gate,
                stdout=printer,
                stderr=printer,
                pass_fds=() if descriptor is None else (descriptor,),
                start_new_session=True,
            )
            self._process = process
            self._guard.add(process.pid)
            output = os.fdopen(os.dup(printed.fileno()), "rb", buffering=0)
            self._ended = asyncio.create_task(self._run(process, output), name=self.program.name)
            with suppress(BrokenPipeError):  # killed already: its end tells
                opener.write(b"go\n")

    async def _run(self, process: asyncio.subprocess.Process, printed: BinaryIO) -> int:
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader()
        transport, _ = await loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), printed
        )
        printing = asyncio.create_task(self._pump(reader))
        status = await process.wait()
        # What it started itself ends with it: a worker left alone would keep the port.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        self._guard.remove(process.pid)
        await asyncio.wait({printing}, timeout=1)
        printing.cancel()
        transport.close()
        return status

    async def _pump(self, stream: asyncio.StreamReader) -> None:
        rest = b""
        while data := await stream.read(65_536):
            *lines, rest = (rest + data).split(b"\n")
            if lines:
                self._write(*(line.decode(errors="replace") for line in lines))
            if len(rest) > _LONGEST_LINE:
                self._write(rest.decode(errors="replace"))
                rest = b""
        if rest:
            self._write(rest.decode(errors="replace"))

    async def start(self, spawned: Callable[[], None] = lambda: None) -> None:
        """Start the process and wait until it is ready; raises NotReady, and then it has ended.

        `spawned` is called in between, when there is a pid.
        """
        reader, writer = os.pipe()
        try:
            await self.spawn(None if self.program.probe else writer)
            os.close(writer)
            writer = -1
            spawned()
            await self._until_ready(reader)
        finally:
            os.close(reader)
            if writer >= 0:
                os.close(writer)

    async def _until_ready(self, reader: int) -> None:
        assert self._ended is not None  # noqa: S101 - spawned
        ready = asyncio.create_task(self._probed() if self.program.probe else _announced(reader))
        try:
            await asyncio.wait(
                {ready, self._ended},
                timeout=self.program.start_seconds,
                return_when=asyncio.FIRST_COMPLETED,
            )
            if ready.done() and ready.result() and not self._ended.done():
                return
            silent = ready.done()
        finally:
            ready.cancel()
        name, seconds = self.program.name, self.program.start_seconds
        if silent and not self._ended.done():
            # It closed the descriptor in silence, which a process does by ending.
            await asyncio.wait({self._ended}, timeout=1)
        if self._ended.done():
            status = self._ended.result()
            raise NotReady(
                f"{name} {ending(status)} before it was ready; what it said is above.",
                78 if status == 78 else 1,
            )
        await self.stop(asyncio.Event())
        if silent:
            raise NotReady(f"{name} closed the descriptor in {READY_FD} without a word.")
        raise NotReady(f"{name} was not ready after {seconds:g} s.")

    async def _probed(self) -> bool:
        probe = self.program.probe
        while probe is not None and not await probe():
            await asyncio.sleep(_PROBE_SECONDS)
        return True

    async def wait(self) -> int:
        """The exit status, negative for a signal, once the process and its group have ended."""
        assert self._ended is not None  # noqa: S101 - spawned
        return await asyncio.shield(self._ended)

    async def stop(self, hurry: asyncio.Event) -> None:
        """SIGTERM; SIGKILL to the group after the stop time, or as soon as `hurry` is set."""
        if self._process is None or self._ended is None:
            return
        if not self._ended.done():
            with suppress(ProcessLookupError):
                self._process.terminate()
            hurried = asyncio.create_task(hurry.wait())
            await asyncio.wait(
                {self._ended, hurried},
                timeout=self.program.stop_seconds,
                return_when=asyncio.FIRST_COMPLETED,
            )
            hurried.cancel()
        if not self._ended.done():
            if not hurry.is_set():
                self._write(f"did not stop within {self.program.stop_seconds:g} s: killed")
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
        await self.wait()


def _pipe() -> tuple[BinaryIO, BinaryIO]:
    reader, writer = os.pipe()
    return os.fdopen(reader, "rb", buffering=0), os.fdopen(writer, "wb", buffering=0)


async def _announced(reader: int) -> bool:
    """Whether a line came before the end of the pipe."""
    loop = asyncio.get_running_loop()
    readable: asyncio.Future[None] = loop.create_future()

    def arrived() -> None:
        if not readable.done():
            readable.set_result(None)

    loop.add_reader(reader, arrived)
    try:
        await readable
        return bool(os.read(reader, 1))
    finally:
        loop.remove_reader(reader)


def ending(status: int) -> str:
    """An exit status in words."""
    if status >= 0:
        return f"ended with exit status {status}"
    return f"was ended by {signal.Signals(-status).name}"
