"""What others may ask for. Arguments are keywords; those of later senders are ignored."""

from __future__ import annotations

from celery import Celery

from services.discovery_worker.discovery import Discovery
from shared.queues import TASK_CHECK, TASK_OBSERVE, TASK_REFRESH, TASK_REFRESH_DUE


def register(celery: Celery, discovery: Discovery) -> None:
    """Add the tasks to this application.

    Which refresh, and which check, is in the database: these messages only shorten a wait.
    """

    @celery.task(name=TASK_REFRESH)  # type: ignore[untyped-decorator]
    def refresh(**_later: object) -> None:
        discovery.refresh_due()

    @celery.task(name=TASK_REFRESH_DUE)  # type: ignore[untyped-decorator]
    def refresh_due(**_later: object) -> None:
        discovery.refresh_due()

    @celery.task(name=TASK_CHECK)  # type: ignore[untyped-decorator]
    def check(**_later: object) -> None:
        discovery.check_begun()

    @celery.task(name=TASK_OBSERVE)  # type: ignore[untyped-decorator]
    def observe(
        *, provider_id: str, verdict: str, revision: int | None = None, **_later: object
    ) -> None:
        discovery.observe(provider_id, verdict, revision)
