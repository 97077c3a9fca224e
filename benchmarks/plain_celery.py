"""Plain Celery as its users write it: a prefork worker whose task posts to the upstream by httpx.

`celery -A benchmarks.plain_celery worker`, with CELERY_BROKER_URL and CELERY_RESULT_BACKEND in its
environment, which Celery reads itself. One client for each worker process, results kept.
"""

from __future__ import annotations

from typing import Any

import httpx
from celery import Celery
from celery.signals import worker_process_init

app = Celery("plain")


@worker_process_init.connect  # type: ignore[untyped-decorator]  # Celery has no types
def connect(**_: object) -> None:
    """The worker process's own client, made after the fork."""
    app.http = httpx.Client(timeout=120, trust_env=False)


@app.task  # type: ignore[untyped-decorator]
def post(url: str, body: dict[str, Any]) -> Any:
    """Ask the upstream; its answer is the task's result."""
    answer = app.http.post(url, json=body)
    answer.raise_for_status()
    return answer.json()
