"""Celery beat: sends what is due, and knows nothing else.

Losing beat costs delay only: chat workers look for work by themselves. Two of them are harmless.
The schedule lives in memory, because both entries may as well start over after a restart.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Mapping
from typing import Any, Final

from celery.beat import Scheduler, Service
from celery.signals import beat_init

from shared.config import Settings, load
from shared.errors import ConfigurationError
from shared.queues import (
    QUEUE_CHAT,
    QUEUE_DISCOVERY,
    TASK_PURGE,
    TASK_REFRESH_DUE,
    make_celery,
)
from shared.telemetry import announce_ready, configure_logging

PURGE_SECONDS: Final = 60.0
REFRESH_DUE_SECONDS: Final = (1.0, 5.0)


def schedule(settings: Settings) -> dict[str, dict[str, Any]]:
    """Celery's `beat_schedule`; periods in seconds.

    A tenth of the discovery interval, from 1 to 5 s, keeps refreshes on time. A message that no
    worker took within one period expires: the next one says the same.
    """
    shortest, longest = REFRESH_DUE_SECONDS
    refresh = min(longest, max(shortest, settings.discovery_interval / 10))
    return {
        "refresh-due": _entry(TASK_REFRESH_DUE, QUEUE_DISCOVERY, refresh),
        "purge-expired": _entry(TASK_PURGE, QUEUE_CHAT, PURGE_SECONDS),
    }


def _entry(task: str, queue: str, period: float) -> dict[str, Any]:
    return {"task": task, "schedule": period, "options": {"queue": queue, "expires": period}}


def main(environ: Mapping[str, str]) -> int:
    """Send until SIGTERM; 78 when the configuration is unusable."""
    try:
        settings = load(environ)
        app = make_celery(settings, "beat")
    except ConfigurationError as problem:
        print(problem, file=sys.stderr)
        return 78
    configure_logging("beat", settings.log_level, settings.log_format)
    app.conf.beat_schedule = schedule(settings)
    logging.getLogger("celery.beat").setLevel(logging.WARNING)  # or a line every few seconds

    def started(**_: object) -> None:
        announce_ready(environ)

    beat_init.connect(started, weak=False)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _leave)
    Service(app, scheduler_cls=Scheduler, remote_control=False).start()
    return 0


def _leave(number: int, frame: object) -> None:
    """Out of whatever sleep the loop is in: nothing that beat holds is worth a goodbye."""
    raise SystemExit(0)


if __name__ == "__main__":
    sys.exit(main(os.environ))
