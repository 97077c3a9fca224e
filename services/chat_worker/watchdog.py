"""Ends a process that stopped turning although the database answers.

A turn that ends in an error is a turn, rows that wait are no reason, and time is counted in the
watchdog's own ticks, so that a stopped or suspended process is not thought stuck on waking up.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Callable, Mapping
from typing import Final

from shared.store.database import UNAVAILABLE, Database

TICK_SECONDS: Final = 1.0
TICKS_ALLOWED: Final = 60
EXIT_STUCK: Final = 70  # EX_SOFTWARE

logger = logging.getLogger(__name__)


class Watchdog:
    """Counts ticks during which a loop made no turn; past the limit it ends the process."""

    def __init__(
        self,
        *,
        loops: Mapping[str, Callable[[], int]],
        database: Database,
        grace_seconds: float,
        end: Callable[[float], None] | None = None,
        ticks_allowed: int = TICKS_ALLOWED,
    ) -> None:
        self._loops = loops
        self._database = database
        self._grace = grace_seconds
        self._end = end or end_process
        self._allowed = ticks_allowed
        self._seen = {name: turns() for name, turns in loops.items()}
        self._still = dict.fromkeys(loops, 0)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stopping.set()

    def tick(self) -> bool:
        """Look once; False when the process had to be ended."""
        for name, turns in self._loops.items():
            count = turns()
            self._still[name] = 0 if count != self._seen[name] else self._still[name] + 1
            self._seen[name] = count
        stuck = [name for name, ticks in self._still.items() if ticks >= self._allowed]
        if not stuck or not self._database_writes():
            return True
        logger.critical(
            "a loop made no turn for too long while the database answers; ending this process",
            extra={"loops": stuck, "ticks": self._allowed},
        )
        self._end(self._grace)
        return False

    def _run(self) -> None:
        while not self._stopping.wait(TICK_SECONDS):
            if not self.tick():
                return

    def _database_writes(self) -> bool:
        try:
            with self._database.write():
                return True
        except UNAVAILABLE:
            return False
        except Exception:
            logger.exception("the watchdog's own look at the database failed")
            return False


def end_process(grace_seconds: float) -> None:
    """SIGTERM to this process; `os._exit(70)` when it still lives 5 s after the grace."""
    os.kill(os.getpid(), signal.SIGTERM)
    threading.Event().wait(grace_seconds + 5)
    os._exit(EXIT_STUCK)
