"""Whether the processes live on, how much memory they take, and what their files hold."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import psutil

from tests.campaigns.checker import Finding
from tests.system import System

WORKERS = ("chat-worker", "discovery-worker")
EVERY_SECONDS = 0.1


class Watch:
    """A context that looks at the workers' memory ten times a second; all else by `findings`."""

    def __init__(self, system: System) -> None:
        self._system = system
        self._pids = system.pids()
        self._before = {name: self._memory(name) for name in WORKERS}
        self._most = dict(self._before)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, name="watch")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._ended.wait(EVERY_SECONDS):
            for name in WORKERS:
                self._most[name] = max(self._most[name], self._memory(name))

    def _memory(self, name: str) -> int:
        """Resident bytes of a process with its children; 0 when it is gone."""
        try:
            root = psutil.Process(self._pids[name])
            return sum(one.memory_info().rss for one in (root, *root.children(recursive=True)))
        except psutil.NoSuchProcess:
            return 0

    def figures(self) -> str:
        """Memory of the workers now and at most, over what they had at first."""
        return "; ".join(
            f"{name} {(self._memory(name) - before) / 2**20:+.1f} MiB, at most "
            f"{(self._most[name] - before) / 2**20:+.1f} MiB"
            for name, before in self._before.items()
        )

    def findings(self, more_memory: int) -> list[Finding]:
        """That every process lives, and that no worker took `more_memory` bytes more."""
        alive = Finding("14", "processes that did not live through it")
        now = self._system.pids()
        alive.broken.extend(
            f"{name} was {pid}, is {now.get(name)}"
            for name, pid in self._pids.items()
            if now.get(name) != pid
        )
        grown = Finding("14", f"workers that took over {more_memory / 2**20:.0f} MiB more")
        grown.what += f" ({self.figures()})"
        if any(self._most[name] - before > more_memory for name, before in self._before.items()):
            grown.broken.append(self.figures())
        return [alive, grown]


def files_with(secret: str, *places: Path) -> Iterator[str]:
    """The files that hold the secret; `places` are files, and folders with all below them."""
    for place in places:
        for path in (place, *place.rglob("*")):
            if path.is_file() and secret.encode() in path.read_bytes():
                yield str(path)
