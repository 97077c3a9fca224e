"""The process table: everything that runs, once, as data.

The local runner starts these in this order, those that need nothing of each other together, and
stops them in reverse; the page
`docs/running.md` is checked against it.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Final

from shared.config import Settings


@dataclass(frozen=True, slots=True)
class Process:
    """One kind of process. `stop_seconds` is what it gets between SIGTERM and SIGKILL.

    `module` is None for the embedded Valkey, which is a binary. `waits_for_calls` adds the
    configured grace to `stop_seconds`. `scale` says how many may run: "1" or "n". One that starts
    `beside` the one before it needs nothing of that.
    """

    name: str
    module: str | None
    purpose: str
    scale: str
    stop_seconds: float
    waits_for_calls: bool = False
    beside: bool = False

    def command(self) -> tuple[str, ...]:
        """How a Python process is started; -P keeps the working directory off the import path."""
        if self.module is None:
            raise ValueError(f"{self.name} is not a Python module")
        return (sys.executable, "-P", "-m", self.module)

    def stop_within(self, settings: Settings) -> float:
        """Seconds between SIGTERM and SIGKILL under these settings."""
        return self.stop_seconds + (settings.grace_seconds if self.waits_for_calls else 0)


VALKEY: Final = Process(
    "valkey", None, "doorbells, events and notices, where REDIS_URL is unset", "1", 10, beside=True
)
PROCESSES: Final[tuple[Process, ...]] = (
    VALKEY,
    Process("registry", "services.registry", "the HTTP face, and the relay", "n", 15),
    Process(
        "discovery-worker",
        "services.discovery_worker",
        "keeps model lists fresh",
        "n",
        10,
        beside=True,
    ),
    Process(
        "chat-worker",
        "services.chat_worker",
        "runs chat completions",
        "n",
        5,
        waits_for_calls=True,
        beside=True,
    ),
    Process(
        "beat",
        "deploy.beat",
        "sends what is due: refreshes and purges",
        "1",
        10,
        beside=True,
    ),
)

# What a process may take from its start to being ready, in seconds: a cold disk, two slow cores.
START_SECONDS: Final = 60.0
