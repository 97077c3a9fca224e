"""The Celery application of this service, and the step that owns the work."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any, Final

from celery import Celery, bootsteps, signals
from celery.apps.worker import Worker

from services.discovery_worker import tasks
from services.discovery_worker.discovery import Discovery
from shared.config import Settings
from shared.queues import QUEUE_DISCOVERY, make_celery

TASK_THREADS: Final = 2  # every task only passes a word on


def make_worker(settings: Settings, discovery: Discovery, ready: Callable[[], None]) -> Worker:
    """A Celery worker that starts `discovery` before it connects, then calls `ready`.

    So discovery works while Redis is away, and ends when the worker does (SIGTERM, SIGINT).
    """
    celery = make_celery(settings, "discovery_worker")
    tasks.register(celery, discovery)

    class DiscoveryStep(bootsteps.StartStopStep):  # type: ignore[misc]
        requires = ("celery.worker.components:Pool",)

        def start(self, parent: Any) -> None:
            discovery.start()
            ready()

        def close(self, parent: Any) -> None:
            # Not `stop`: that follows the consumer's, which a frozen Redis holds up for 10 s.
            discovery.stop()

    celery.steps["worker"].add(DiscoveryStep)
    # A receiver of this signal tells Celery that logging is set up already.
    signals.setup_logging.connect(_logging_is_set_up)
    return _worker(celery, settings)


def _worker(celery: Celery, settings: Settings) -> Worker:
    return celery.Worker(
        hostname=f"discovery@{socket.gethostname()}",
        pool="threads",
        concurrency=TASK_THREADS,
        queues=[QUEUE_DISCOVERY],
        loglevel=settings.log_level,
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
        quiet=True,
    )


def _logging_is_set_up(**_: object) -> None:
    """See `make_worker`."""
