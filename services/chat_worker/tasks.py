"""What others may ask for: two thin tasks. Arguments of later senders are ignored."""

from __future__ import annotations

from celery import Celery

from services.chat_worker.worker import ChatWorker
from shared.queues import TASK_DRAIN, TASK_PURGE


def register(celery: Celery, worker: ChatWorker) -> None:
    """Add the tasks to this application."""

    @celery.task(name=TASK_DRAIN)  # type: ignore[untyped-decorator]
    def drain(*, hops: int = 0, **_later: object) -> None:
        worker.drain(hops=hops)

    @celery.task(name=TASK_PURGE)  # type: ignore[untyped-decorator]
    def purge_expired(**_later: object) -> None:
        worker.purge()
