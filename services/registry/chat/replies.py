"""Jobs as HTTP answers: accepted, shown, or ended as a plain call wants it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from flask import Response

from services.registry import answers, problems
from services.registry.chat.documents import SETTLED, Seen, failure
from services.registry.chat.idempotency import REPLAYED
from services.registry.chat.submission import Submitted
from services.registry.chat.views import View
from services.registry.parts import Parts
from services.registry.preferences import Preferences
from shared.domain import JobState
from shared.errors import DeadlineExceeded, UpstreamLoading, UpstreamRateLimited
from shared.store.jobs import Job

POLL_AFTER: Final = "2"  # seconds, as Retry-After


class Replies:
    """What the routes of jobs answer, as this view shows them."""

    def __init__(self, parts: Parts, view: View) -> None:
        self._sealer = parts.sealer
        self._now = parts.now
        self._view = view

    def shown(self, seen: Seen, more: Mapping[str, str] | None = None) -> Response:
        """200 with the job, in every state."""
        job, _ = seen
        headers = {"ETag": answers.etag(job.version), **(more or {})}
        if not job.state.terminal:
            headers["Retry-After"] = POLL_AFTER
        return answers.json_answer(self._view.document(seen), 200, headers)

    def accepted(self, submitted: Submitted, prefer: Preferences) -> Response:
        """202 with the job, or 200 when it is terminal already, failed included."""
        job, _ = submitted.seen
        headers = {
            "Location": self._view.naming.location(job.id),
            "ETag": answers.etag(job.version),
            **prefer.applied("respond-async", "wait"),
            **(REPLAYED if submitted.replayed else {}),
        }
        if job.state.terminal:
            return answers.json_answer(self._view.document((job, SETTLED)), 200, headers)
        headers["Retry-After"] = POLL_AFTER
        return answers.json_answer(self._view.document(submitted.seen), 202, headers)

    def ended(self, job: Job, *, replayed: bool) -> Response:
        """The completion, or its failure as an HTTP error."""
        if job.state is JobState.COMPLETED:
            result = self._view.document((job, SETTLED))
            unreadable = result["error"]
            answer = problems.of_failure(unreadable) if unreadable else answers.json_answer(result)
        elif (document := failure(job, self._sealer)) is not None:
            answer = problems.of_failure(document, retry_after=_retry_after(job, self._now()))
        else:  # nobody could end it: the database was away for long
            answer = problems.of_failure(DeadlineExceeded().document())
        answer.headers.extend(REPLAYED if replayed else {})
        return answer


def _retry_after(job: Job, now: float) -> float | None:
    """What the upstream asked for, as the provider's gate remembers it; in seconds."""
    busy = job.error_code in (UpstreamRateLimited.code, UpstreamLoading.code)
    if not busy or job.gate_closed_until is None or job.gate_closed_until <= now:
        return None
    return job.gate_closed_until - now
