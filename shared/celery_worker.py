"""How a service's Celery worker is started: its work first, the broker after it, one way for all.

Celery brings the messages, the signals and the order of a stop; the work itself is the service's
own and begins and ends with a step of Celery's worker, not of its consumer: a broker that is away
or frozen keeps neither from starting nor from stopping.
"""

from __future__ import annotations

import signal
import socket
import threading
import warnings
from collections.abc import Callable
from types import FrameType
from typing import Any, Final

from celery import Celery, bootsteps, signals
from celery.apps.worker import Worker
from celery.platforms import SecurityWarning

from shared.config import Settings

TASK_THREADS: Final = 2  # every task only passes a word on


def make_worker(
    app: Celery,
    settings: Settings,
    *,
    queue: str,
    start: Callable[[], None],
    stop: Callable[[], None],
) -> Worker:
    """A worker of `queue` that calls `start` before it connects and `stop` when it is told to end.

    `stop` may take its time; it begins with the signal, whatever Celery is waiting for.
    """
    end = _Once(stop)

    class WorkStep(bootsteps.StartStopStep):  # type: ignore[misc]
        requires = ("celery.worker.components:Pool",)

        def start(self, parent: Any) -> None:
            start()
            # Only now: Celery sets its own handlers when it starts.
            for number in (signal.SIGTERM, signal.SIGINT):
                _begin_with_signal(number, end)

        def close(self, parent: Any) -> None:
            # Not `stop`: that follows the consumer's, which a frozen Redis holds up for 10 s.
            end()

    app.steps["worker"].add(WorkStep)
    # A receiver of this signal tells Celery that logging is set up already.
    signals.setup_logging.connect(_logging_is_set_up)
    # Celery warns of root because of pickle; our queues take JSON only.
    warnings.filterwarnings("ignore", category=SecurityWarning)
    return app.Worker(
        hostname=f"{queue}@{socket.gethostname()}",
        pool="threads",
        concurrency=TASK_THREADS,
        queues=[queue],
        loglevel=settings.log_level,
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
        quiet=True,
    )


class _Once:
    """Calls once; whoever comes later, or meanwhile, waits for the end of that call."""

    def __init__(self, call: Callable[[], None]) -> None:
        self._call = call
        self._lock = threading.Lock()
        self._done = False

    def __call__(self) -> None:
        with self._lock:
            if not self._done:
                self._done = True
                self._call()


def _begin_with_signal(number: signal.Signals, end: Callable[[], None]) -> None:
    """Let `end` begin with the signal, from its own thread, before Celery's handler."""
    celerys = signal.getsignal(number)

    def handle(received: int, frame: FrameType | None) -> None:
        # Celery looks for its flag between two reads of Redis: connecting to a frozen one, 10 s.
        threading.Thread(target=end, name="stop").start()
        if callable(celerys):
            celerys(received, frame)

    signal.signal(number, handle)


def _logging_is_set_up(**_: object) -> None:
    """See `make_worker`."""
