"""A process for the runner to run: says on a shared file what happens to it, does as it is told.

    dummy.py NAME FILE [BEHAVIOUR …]

`silent`: never ready. `dies`: ends with status 3 before it is ready. `stubborn`: ignores SIGTERM.
`parent`: starts a child of its own that outlives it, and ignores SIGTERM.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from types import FrameType


def main(name: str, file: str, *behaviours: str) -> None:
    def note(event: str) -> None:
        with open(file, "a") as log:  # noqa: PTH123 - starts in 10 ms without pathlib
            log.write(f"{name} {event} {os.getpid()}\n")

    def stop(number: int, frame: FrameType | None) -> None:
        note("stopped")
        sys.exit(0)

    note("started")
    if "dies" in behaviours:
        sys.exit(3)
    ignoring = "stubborn" in behaviours
    signal.signal(signal.SIGTERM, signal.SIG_IGN if ignoring else stop)
    if "parent" in behaviours:
        subprocess.Popen(
            [sys.executable, "-S", __file__, f"{name}-child", file, "silent", "stubborn"]
        )
    print(f"hello from {name}", flush=True)
    if "silent" not in behaviours:
        note("ready")
        os.write(int(os.environ["DRAGOMAN_READY_FD"]), b"\n")
    while True:
        signal.pause()


if __name__ == "__main__":
    main(*sys.argv[1:])
