"""Clocks of processes that jump while they run: libfaketime, preloaded, reads a file each time.

The monotonic clock stays as it is, as it does when a machine's clock is set. `time.sleep` fails in
such processes (libfaketime 0.9.10 does not know an absolute time of that clock): of ours only beat
sleeps so, which nothing waits for, and which the runner restarts.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


class NoFakeTime(Exception):
    """This machine has no libfaketime; the message says what was looked for."""


def find_library() -> Path:
    """The library that is safe with threads; raises NoFakeTime."""
    for pattern in ("lib/*/faketime", "lib/faketime", "lib64/faketime", "local/lib/faketime"):
        for found in Path("/usr").glob(f"{pattern}/libfaketimeMT.so.1"):
            return found
    raise NoFakeTime("libfaketimeMT.so.1 (Debian's package `faketime`) is not where it is put")


class Clock:
    """The clock of every process that was started with `env`."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._library = find_library()
        self.set(0)

    @property
    def env(self) -> Mapping[str, str]:
        """What a process needs to follow this clock; its children inherit it."""
        return {
            "LD_PRELOAD": str(self._library),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",  # else it would look once in ten seconds
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_DISABLE_SHM": "1",
            "NO_FAKE_STAT": "1",
        }

    def set(self, seconds: float) -> None:
        """Be so far ahead of the machine's own clock."""
        fresh = self._file.with_suffix(".new")
        fresh.write_text(f"{seconds:+.0f}s\n", encoding="ascii")
        fresh.chmod(0o644)  # a PostgreSQL of another user reads it
        fresh.replace(self._file)
