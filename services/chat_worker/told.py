"""The log line of a call that did not complete; that of the request names the same job."""

from __future__ import annotations

import logging

from shared.domain import JobState
from shared.store.jobs import ClaimedJob, Outcome

logger = logging.getLogger(__name__)


def note(job: ClaimedJob, outcome: Outcome) -> None:
    """One line of a failed call, or of one whose job waits again; none of one that completed.

    The ids of job and request come by themselves (`shared.telemetry`).
    """
    if outcome.state is JobState.COMPLETED:
        return
    failed = outcome.state is JobState.FAILED
    logger.info(
        "the job failed" if failed else "the job waits again",
        extra={
            "provider": job.target.slug,
            "code": outcome.error_code or "released",
            "attempt": job.attempt,
            "worker": job.worker_id,
        },
    )
