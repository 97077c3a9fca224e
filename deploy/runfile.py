"""What the runner leaves on disk for others: its lock and `run.json`, both in DATA_DIR.

The lock is held exactly as long as the runner lives, so `run.json` means something only while it
is. The file is replaced whole, never changed in place.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from deploy.refusal import Refusal

# `ps` holds the lock for an instant to find out whether a runner does.
_LOCK_SECONDS = 0.3


@dataclass(slots=True)
class ProcessEntry:
    """One process. `started_at` is in Unix seconds; `state`: starting, running, waiting, ended."""

    name: str
    pid: int | None = None
    started_at: float | None = None
    restarts: int = 0
    state: str = "starting"


@dataclass(slots=True)
class Run:
    """The contents of `run.json`. `state`: starting, ready, stopping.

    `socket_folder` is the temporary folder of Valkey's socket, where DATA_DIR's path is too long.
    """

    pid: int
    started_at: float
    state: str
    url: str
    admin_key_file: str
    socket_folder: str | None = None
    processes: list[ProcessEntry] = field(default_factory=list)


class RunFile:
    """`run.json` and its lock in one data directory."""

    def __init__(self, data_dir: Path) -> None:
        self.path = data_dir / "run.json"
        self.lock_file = data_dir / "run.lock"
        self._fresh = self.path.with_suffix(".json.new")

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the lock; raises Refusal, naming the other runner, when there is one."""
        descriptor = os.open(self.lock_file, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            deadline = time.monotonic() + _LOCK_SECONDS
            while not _try_lock(descriptor, fcntl.LOCK_EX):
                if time.monotonic() > deadline:
                    raise Refusal(self._already_running())
                time.sleep(0.02)
            yield
        finally:
            os.close(descriptor)

    def _already_running(self) -> str:
        run = self.read()
        who = f" (pid {run.pid}, {run.url})" if run else ""
        return f"Dragoman is already running on {self.path.parent}{who}."

    def running(self) -> bool:
        """Whether a runner holds the lock now."""
        try:
            descriptor = os.open(self.lock_file, os.O_RDWR)
        except FileNotFoundError:
            return False
        try:
            return not _try_lock(descriptor, fcntl.LOCK_SH)
        finally:
            os.close(descriptor)

    def read(self) -> Run | None:
        """What `run.json` says, or None where there is none."""
        try:
            document = json.loads(self.path.read_text())
        except FileNotFoundError:
            return None
        processes = [ProcessEntry(**entry) for entry in document.pop("processes")]
        return Run(**document, processes=processes)

    def write(self, run: Run) -> None:
        """Replace `run.json` in one step; raises OSError."""
        self._fresh.write_text(json.dumps(asdict(run), indent=1) + "\n")
        self._fresh.replace(self.path)

    def remove(self) -> None:
        """Nothing runs here any more."""
        self.path.unlink(missing_ok=True)
        self._fresh.unlink(missing_ok=True)


def _try_lock(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
