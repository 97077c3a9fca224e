"""A disk of a few MiB to fill up: a tmpfs, which needs root and the right to mount."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_PIECE: Final = bytes(65_536)


class NoSmallDisk(Exception):
    """Nothing can be mounted here; the message says why."""


class SmallDisk:
    """A mounted `folder`; `fill` takes all that is free, `free` gives it back."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ballast = folder / "ballast"

    def fill(self) -> None:
        """Write until nothing more fits."""
        with self._ballast.open("ab", buffering=0) as ballast:
            for piece in (_PIECE, b"-"):
                try:
                    while ballast.write(piece):
                        pass
                except OSError as fault:
                    if fault.errno != errno.ENOSPC:
                        raise

    def free(self) -> None:
        """Delete what `fill` wrote."""
        self._ballast.unlink(missing_ok=True)

    @property
    def free_bytes(self) -> int:
        """What still fits."""
        return shutil.disk_usage(self.folder).free


@contextmanager
def small_disk(mebibytes: int) -> Iterator[SmallDisk]:
    """Mount one on a folder with a short path; raises NoSmallDisk. It is gone afterwards."""
    if sys.platform != "linux" or os.geteuid() != 0:
        raise NoSmallDisk("expected root on Linux, to mount a small tmpfs")
    with tempfile.TemporaryDirectory(prefix="dragoman-disk-") as name:
        size = f"size={mebibytes}m"
        command = ["mount", "-t", "tmpfs", "-o", size, "tmpfs", name]
        mounted = subprocess.run(command, capture_output=True, text=True, check=False)
        if mounted.returncode != 0:
            raise NoSmallDisk(f"expected to mount a tmpfs, got {mounted.stderr.strip()!r}")
        try:
            yield SmallDisk(Path(name))
        finally:
            # Lazy: a process that was killed a moment ago may hold a file for that moment.
            subprocess.run(["umount", "--lazy", name], check=True)
