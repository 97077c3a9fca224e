"""The Celery application of the chat worker: two thin tasks, and the step that owns the worker."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from celery import Celery, bootsteps

from services.chat_worker.worker import ChatWorker
from shared import queues


def add_tasks(app: Celery, worker: ChatWorker) -> None:
    """Register the tasks; none of them waits for anything."""

    @app.task(name=queues.TASK_DRAIN)  # type: ignore[untyped-decorator]
    def drain(*, hops: int = 0, **_later: Any) -> None:
        worker.drain(hops=hops)

    @app.task(name=queues.TASK_PURGE)  # type: ignore[untyped-decorator]
    def purge_expired(**_later: Any) -> None:
        worker.purge()


def own(app: Celery, worker: ChatWorker, *, on_ready: Callable[[], None]) -> None:
    """Make Celery's start and stop those of the worker.

    The step belongs to Celery's worker, not to its consumer: it starts before the broker is
    reached, and a broker that is away never stops it.
    """

    class ChatWorkerStep(bootsteps.StartStopStep):  # type: ignore[misc]
        """Celery's handle on the chat worker."""

        def start(self, parent: Any) -> None:
            """Start claiming."""
            worker.start()
            on_ready()

        def stop(self, parent: Any) -> None:
            """End claiming and wait out the grace."""
            worker.stop()

    app.steps["worker"].add(ChatWorkerStep)
