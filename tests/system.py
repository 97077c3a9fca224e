"""The whole product as a user starts it: `./dragoman up` on a data directory and a free port."""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import psutil

from tests.api import Api
from tests.eventually import eventually
from tests.ports import free_port as free_port

ROOT = Path(__file__).parent.parent
START_SECONDS = 60.0
STOP_SECONDS = 60.0
RESTART_SECONDS = 90.0  # the runner waits up to 30 s before it restarts what fell often
_READY = re.compile(r"Dragoman is ready: (\S+) \(admin key: (.+)\)")
_OURS = ("DRAGOMAN_", "DATABASE_URL", "REDIS_URL", "PYTEST_")


class SystemDied(Exception):
    """`up` ended, or never got ready; the message holds its whole log."""


class System:
    """One system; the same data directory and port over all its starts.

    `env` are settings for it; the tests' own environment reaches it without any of Dragoman's.
    """

    def __init__(self, data_dir: Path, *, env: Mapping[str, str] | None = None) -> None:
        self.data_dir = data_dir
        self.env = dict(env or {})
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = data_dir.with_name(f"{data_dir.name}.log")
        self._process: subprocess.Popen[bytes] | None = None
        self._api: Api | None = None
        self._read_from = 0

    def start(self) -> System:
        """Start and wait for the ready line; raises SystemDied with the log."""
        command = [sys.executable, "-m", "deploy", "up", "--data-dir", str(self.data_dir)]
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(_OURS)}
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self._read_from = log.tell()
            self._process = subprocess.Popen(
                [*command, "--host", "127.0.0.1", "--port", str(self.port)],
                cwd=ROOT,
                env={**inherited, "PYTHONPATH": str(ROOT), **self.env},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            eventually(self._is_ready, START_SECONDS, every=0.05)
        except TimeoutError:
            self.kill()
            raise SystemDied(f"no ready line in {START_SECONDS:g} s:\n{self.output()}") from None
        return self

    def _is_ready(self) -> bool:
        assert self._process is not None
        if (match := _READY.search(self.output())) is not None:
            key = Path(match[2]).read_text(encoding="utf-8").strip()
            self._api = Api(match[1], key)
            return True
        if (status := self._process.poll()) is not None:
            raise SystemDied(f"`up` ended with {status}:\n{self.output()}")
        return False

    def output(self) -> str:
        """What it printed since the last start."""
        with self.log.open("rb") as log:
            log.seek(self._read_from)
            return log.read().decode(errors="replace")

    @property
    def admin_key(self) -> str:
        """The first admin key."""
        return self.api.http.headers["Authorization"].removeprefix("Bearer ")

    @property
    def api(self) -> Api:
        """A caller with the admin key."""
        assert self._api is not None, "not started"
        return self._api

    @property
    def database_url(self) -> str:
        """What it was told, or the embedded default."""
        return self.env.get("DATABASE_URL", f"sqlite:///{self.data_dir}/dragoman.db")

    @property
    def runner_pid(self) -> int:
        """The process of `up` itself."""
        assert self._process is not None, "not started"
        return self._process.pid

    @property
    def runner_alive(self) -> bool:
        """Whether `up` still runs."""
        return self._process is not None and self._process.poll() is None

    def pids(self) -> dict[str, int]:
        """Name → pid of the processes that run now, from run.json."""
        text = (self.data_dir / "run.json").read_text(encoding="utf-8")
        rows = json.loads(text)["processes"]
        return {row["name"]: row["pid"] for row in rows if row["state"] == "running"}

    def pid_of(self, name: str) -> int:
        """The pid of one process; waits for a restart that is under way."""

        def running() -> int | None:
            return self.pids().get(name)

        return eventually(running, RESTART_SECONDS)

    def process(self, name: str) -> psutil.Process:
        return psutil.Process(self.pid_of(name))

    def signal(self, name: str, number: signal.Signals) -> int:
        """Send a signal; the pid that got it. Waits for a restart that is under way."""

        def send() -> int | None:
            pid = self.pid_of(name)
            try:
                os.kill(pid, number)
            except ProcessLookupError:  # it has died, and run.json does not know yet
                return None
            return pid

        return eventually(send, RESTART_SECONDS)

    def restarted(self, name: str, old_pid: int, timeout: float = 30) -> int:
        """The pid of the successor of `old_pid`, once the runner has started it."""

        def successor() -> int | None:
            pid = self.pids().get(name)
            return pid if pid != old_pid else None

        return eventually(successor, timeout)

    @contextmanager
    def suspended(self, *names: str) -> Iterator[None]:
        """SIGSTOP these processes while the block runs; they may be killed meanwhile."""
        stopped = [self.signal(name, signal.SIGSTOP) for name in names]
        try:
            yield
        finally:
            for pid in stopped:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)

    @contextmanager
    def suspended_between_writes(self, name: str) -> Iterator[None]:
        """As `suspended`, but not while it holds SQLite's write lock: nobody else could write."""

        def stopped() -> int | None:
            pid = self.signal(name, signal.SIGSTOP)
            if self._is_writable():
                return pid
            os.kill(pid, signal.SIGCONT)
            return None

        pid = eventually(stopped, 30, every=0.02)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    def _is_writable(self) -> bool:
        if not self.database_url.startswith("sqlite"):
            return True
        path = self.database_url.removeprefix("sqlite:///")
        # Others write for milliseconds; who is stopped writes for ever.
        with closing(sqlite3.connect(path, timeout=1.0, isolation_level=None)) as connection:
            try:
                connection.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                return False
            connection.execute("ROLLBACK")
            return True

    def stop(self) -> int:
        """SIGTERM and wait; the exit status. Raises SystemDied when it does not end."""
        if self._process is None:
            return 0
        process, self._process = self._process, None
        self._close()
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            return process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            sentence = f"`up` did not end within {STOP_SECONDS:g} s"
            raise SystemDied(f"{sentence}:\n{self.output()}") from None

    def kill(self) -> None:
        """SIGKILL the runner; its watchdog has to end the rest."""
        process, self._process = self._process, None
        self._close()
        if process is not None:
            process.kill()
            process.wait()

    def _close(self) -> None:
        if self._api is not None:
            self._api.close()
            self._api = None

    def __enter__(self) -> System:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()
