"""Ends what the runner left behind. Runs as a process of its own; standard library only.

    python -I watchdog.py LOCK_FILE

It takes the lock (waiting for the watchdog of a runner that was killed a moment ago), writes
"ready", then reads "+PGID" and "-PGID" lines: the process groups that live. At the end of its
input the runner is gone, however it died: TERM to every group, KILL to what is left 2 s later.
"""

from __future__ import annotations

import fcntl
import os
import signal
import sys
import time

TERM_SECONDS = 2.0


def main(lock_file: str) -> None:
    """Watch until the input ends, then end every group that was not taken back."""
    # A terminal's Ctrl-C is the runner's business: it decides how to stop.
    for stop in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(stop, signal.SIG_IGN)
    lock = os.open(lock_file, os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    os.write(1, b"ready\n")
    groups: set[int] = set()
    for line in sys.stdin:
        (groups.add if line.startswith("+") else groups.discard)(int(line[1:]))
    end(groups)


def end(groups: set[int]) -> None:
    """TERM, then KILL 2 s later; returns at once when no group has a process left."""
    deadline = time.monotonic() + TERM_SECONDS
    alive = {group for group in groups if _signal(group, signal.SIGTERM)}
    while alive and time.monotonic() < deadline:
        time.sleep(0.05)
        alive = {group for group in alive if _signal(group, 0)}
    for group in alive:
        _signal(group, signal.SIGKILL)


def _signal(group: int, number: int) -> bool:
    """Whether the group has a process that could be signalled."""
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):  # macOS answers EPERM for a group of zombies
        return False
    return True


if __name__ == "__main__":
    main(sys.argv[1])
