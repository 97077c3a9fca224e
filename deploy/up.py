"""`up`: everything on one machine, from an empty data directory to "is ready", and down again."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial

from deploy import valkey
from deploy.address import check_port, reachable, url
from deploy.bootstrap import ROOT
from deploy.child import Program
from deploy.console import Console
from deploy.guard import Guard
from deploy.processes import PROCESSES, START_SECONDS, VALKEY, Process
from deploy.readiness import is_refused, until_healthy
from deploy.refusal import Refusal
from deploy.runfile import Run, RunFile
from deploy.runner import Runner
from shared.config import READY_FD, Settings

# A key bounces; the second press that counts comes later than that.
_BOUNCE_SECONDS = 0.2

NOTE_AGAIN = 1.0  # seconds until a `run.json` that could not be written is tried again

# Two workers cannot listen at one address; the registry serves the metrics of both.
NOT_FOR_CHILDREN = (READY_FD, "DRAGOMAN_METRICS_LISTEN")

After = Callable[[], Awaitable[bool]]


class System:
    """One run of the whole system on one data directory.

    `extra` are programs started before and stopped after all others. `after` runs once everything
    is ready and says whether to go on until told to stop.
    """

    def __init__(
        self,
        settings: Settings,
        environ: Mapping[str, str],
        extra: Sequence[Program] = (),
        after: After | None = None,
        processes: Sequence[Process] = PROCESSES,
    ) -> None:
        self.settings = settings
        self._environ = child_environ(settings, environ)
        self._extra = extra
        self._after = after
        self._processes = processes
        names = [program.name for program in extra] + [process.name for process in processes]
        self._console = Console(["dragoman", *names], settings.log_format)
        self._file = RunFile(settings.data_dir)
        self._stop, self._hurry = asyncio.Event(), asyncio.Event()
        self._stop_asked_at = 0.0
        self._noting: asyncio.TimerHandle | None = None
        self._told_unnoted = False

    def _say(self, line: str) -> None:
        self._write("dragoman", line)

    def _write(self, name: str, *lines: str, level: str = "INFO") -> None:
        told = [
            line for line in lines if line.strip()
        ]  # Celery's farewell begins with an empty one
        if name == VALKEY.name:
            told = [line for line in told if valkey.is_news(line)]
        if told:
            self._console.write(name, *told, level=level)

    async def run(self) -> int:
        """Start, serve until told to stop, stop; the exit status. Raises Refusal."""
        self._listen_for_signals()
        try:
            self.settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as problem:
            raise Refusal(f"DRAGOMAN_DATA_DIR cannot be made: {problem}.") from problem
        with self._file.held():
            guard = Guard(self.settings.data_dir / "watchdog.lock", self._say)
            try:
                await guard.start()
                self._remove_socket_folder(self._file.read())
                check_port(self.settings.host, self.settings.port)
                return await self._run_guarded(guard)
            finally:
                await guard.close()

    async def _run_guarded(self, guard: Guard) -> int:
        settings = self.settings
        run = Run(
            pid=os.getpid(),
            started_at=time.time(),
            state="starting",
            url=url(settings),
            admin_key_file=str(settings.admin_key_file),
        )
        programs = [*self._extra, *self._programs(run)]
        runner = Runner(programs, guard, self._write, changed=lambda: self._note(run))
        run.processes = runner.entries
        self._note(run)
        work = asyncio.create_task(self._work(runner, run), name="start")
        asked = asyncio.create_task(self._stop.wait(), name="asked to stop")
        try:
            await asyncio.wait({work, asked}, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                work.result()
        finally:
            work.cancel()
            asked.cancel()
            await asyncio.gather(work, asked, return_exceptions=True)
            run.state = "stopping"
            await runner.stop(self._hurry)
            self._remove_socket_folder(run)
            self._file.remove()
        return 130 if self._hurry.is_set() else 0

    async def _work(self, runner: Runner, run: Run) -> None:
        migrate = Program(
            "migrate", (sys.executable, "-P", "-m", "deploy", "migrate"), self._environ
        )
        if status := await runner.run_once(migrate):
            raise Refusal("The database could not be migrated; the reason is above.", status)
        await runner.start()
        await until_healthy(reachable(self.settings))
        run.state = "ready"
        self._note(run)
        print(f"Dragoman is ready: {run.url} ({await self._admin_key()})", flush=True)
        if self._after is None or await self._after():
            await self._stop.wait()

    async def _admin_key(self) -> str:
        path = self.settings.admin_key_file
        another = "`./dragoman migrate --new-admin-key` makes one"
        try:
            key = path.read_text("utf-8").strip()
        except FileNotFoundError:
            return f"no {path}; {another}"
        if await is_refused(reachable(self.settings), key):
            return f"the key in {path} was revoked, or has expired: move it away, and {another}"
        return f"admin key: {path}"

    def _note(self, run: Run) -> None:
        """Replace `run.json`, later where the disk is full: what runs is what matters."""
        if self._noting is not None:
            self._noting.cancel()
        try:
            self._file.write(run)
        except OSError as problem:
            if not self._told_unnoted:
                self._say(f"{self._file.path.name} is out of date: {problem}")
            self._told_unnoted = True
            self._noting = asyncio.get_running_loop().call_later(NOTE_AGAIN, self._note, run)
        else:
            self._told_unnoted = False

    def _programs(self, run: Run) -> list[Program]:
        settings, environ = self.settings, dict(self._environ)
        programs = []
        if settings.redis_url is None:
            server, data = valkey.binary(), settings.data_dir / "valkey"
            place = valkey.place_socket(settings.data_dir)
            if place.parent.parent != settings.data_dir:
                run.socket_folder = str(place.parent)
            data.mkdir(mode=0o700, exist_ok=True)
            command = valkey.command(server, place, data)
            environ["REDIS_URL"] = valkey.url(place)
            probe = partial(valkey.answers, place)
            stop = VALKEY.stop_within(settings)
            programs.append(
                Program(
                    VALKEY.name, command, environ, START_SECONDS, stop, probe, beside=VALKEY.beside
                )
            )
        programs += [
            Program(
                p.name,
                p.command(),
                environ,
                START_SECONDS,
                p.stop_within(settings),
                beside=p.beside,
            )
            for p in self._processes
            if p.module
        ]
        return programs

    def _remove_socket_folder(self, run: Run | None) -> None:
        if run and run.socket_folder:
            shutil.rmtree(run.socket_folder, ignore_errors=True)

    def _listen_for_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            # nohup, or a shell for its background jobs, may have said that one is to be ignored.
            if signal.getsignal(number) is not signal.SIG_IGN:
                loop.add_signal_handler(number, self._asked_to_stop, number)

    def _asked_to_stop(self, number: signal.Signals) -> None:
        now = time.monotonic()
        if not self._stop.is_set():
            self._stop_asked_at = now
            self._stop.set()
            self._say(
                f"stopping; running calls have {self.settings.grace_seconds:g} s to finish "
                "(Ctrl-C again ends them at once)"
            )
        elif number == signal.SIGINT and now - self._stop_asked_at >= _BOUNCE_SECONDS:
            self._say("ending at once")
            self._hurry.set()


def child_environ(settings: Settings, environ: Mapping[str, str]) -> dict[str, str]:
    """What the processes get: the caller's environment with what was settled for this run."""
    known = {key: text for key, text in environ.items() if key not in NOT_FOR_CHILDREN}
    return known | {
        "DRAGOMAN_DATA_DIR": str(settings.data_dir),
        "DRAGOMAN_HOST": settings.host,
        "DRAGOMAN_PORT": str(settings.port),
        "PYTHONPATH": str(ROOT),
        "PYTHONUNBUFFERED": "1",
    }
