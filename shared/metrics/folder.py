"""The folder in which the processes of one machine leave their snapshots.

A process holds a place in it for as long as it lives: `registry-2.lock`, locked, is the place and
`registry-2.snapshot` what it left. Whoever comes after it takes the same place, so that names stay
few and a restart looks to Prometheus like any restart. Snapshots are written and renamed, never
mapped into memory: on a full disk that is an error, and the other a signal that kills.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from shared.metrics import snapshot
from shared.metrics.snapshot import Snapshot

FRESH_SECONDS: Final = 30.0  # a process whose snapshot is older is dead, or stands still
MOST_PLACES: Final = 256  # of one kind

logger = logging.getLogger(__name__)


class Slot:
    """The place of this process; `name` is the label `process` of its series."""

    def __init__(self, folder: Path, name: str, descriptor: int) -> None:
        self.name = name
        self._file = folder / f"{name}.snapshot"
        self._descriptor = descriptor

    def write(self, taken: Snapshot) -> None:
        """Leave this snapshot; raises OSError."""
        fresh = self._file.with_suffix(".new")
        fresh.write_bytes(snapshot.encoded(taken))
        fresh.replace(self._file)

    def leave(self) -> None:
        """Take the snapshot away and give the place free."""
        with contextlib.suppress(OSError):
            self._file.unlink(missing_ok=True)
        os.close(self._descriptor)


class Folder:
    """The folder at this path; it need not be there."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def claim(self, kind: str) -> Slot | None:
        """The lowest free place of this kind; None where the folder cannot be used."""
        try:
            self._path.mkdir(mode=0o700, parents=True, exist_ok=True)
            for number in range(1, MOST_PLACES + 1):
                name = f"{kind}-{number}"
                path = self._path / f"{name}.lock"
                descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    os.close(descriptor)
                    continue
                return Slot(self._path, name, descriptor)
        except OSError as fault:
            logger.info(
                "metrics stay in this process: DRAGOMAN_METRICS_DIR cannot be written",
                extra={"reason": str(fault)},
            )
        return None

    def snapshots(self, *, now: float) -> Iterator[Snapshot]:
        """The fresh snapshots, by name."""
        for file in sorted(self._path.glob("*.snapshot")):
            try:
                found = snapshot.decoded(file.read_bytes())
            except FileNotFoundError:
                continue  # its process has left meanwhile
            except (OSError, msgspec.DecodeError) as fault:
                logger.warning(
                    "a snapshot cannot be read", extra={"file": file.name, "reason": str(fault)}
                )
                continue
            if abs(now - found.at) <= FRESH_SECONDS:
                yield found
