"""The job as its owner sees it: our fields over the upstream's own answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from services.registry import problems
from shared import ids
from shared.crypto import SealBroken, Sealer
from shared.domain import JobState, OnUnavailable
from shared.errors import JOB_FAILURES, DeadlineExceeded, JobFailure
from shared.store import jobs
from shared.store.deliveries import PENDING
from shared.store.jobs import Attempt, Job

OBJECT: Final = "chat.completion"
_RESULT: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What is computed on reading: it is no change of the job and not part of its ETag."""

    queue_position: int | None = None
    waiting_for: dict[str, Any] | None = None


SETTLED: Final = Circumstances()
Seen = tuple[Job, Circumstances]


def circumstances(tx: sa.Connection, job: Job, *, now: float) -> Circumstances:
    """Where a queued job stands and why it does not run; nothing for any other state."""
    if job.state is not JobState.QUEUED:
        return SETTLED
    return Circumstances(jobs.queue_position(tx, job), _waiting_for(tx, job, now=now))


def _waiting_for(tx: sa.Connection, job: Job, *, now: float) -> dict[str, Any] | None:
    if not job.provider_enabled:
        return {"reason": "provider_disabled", "until": None, "cause": None}
    if job.gate_reason is not None and job.on_unavailable != OnUnavailable.FAIL:
        until = job.gate_closed_until
        return {
            "reason": job.gate_reason.value,
            "until": int(until) if until is not None and until > now else None,
            "cause": job.gate_cause,
        }
    limit = job.provider_limit
    if limit is not None and jobs.running_of(tx, job.provider_id) >= limit:
        return {"reason": "provider_busy", "until": None, "cause": None}
    return None


def completion(job: Job, around: Circumstances, sealer: Sealer) -> dict[str, Any]:
    """The chat completion of API.md section 5.

    Upstream fields that collide with ours move to `upstream`; the rest stays byte for byte. Where
    the result does not open with the keyring in force, `error` says so beside `completed`.
    """
    ours: dict[str, Any] = {
        "id": ids.COMPLETION + job.id,
        "object": OBJECT,
        "created": int(job.created_at),
        "model": job.model,
        "choices": [],
        "usage": None,
        "status": job.state.value,
        "completed_at": _seconds(job.completed_at),
        "error": failure(job, sealer),
        **facts(job, around),
    }
    if job.state is not JobState.COMPLETED or job.result_sealed is None:
        return ours
    try:
        result = sealer.open(job.result_sealed, table=jobs.TABLE, row=job.id, column=jobs.RESULT)
    except SealBroken as broken:  # one such row must not take the list away
        return ours | {"error": problems.unreadable(broken).document()}
    theirs: dict[str, Any] = _RESULT.decode(result)
    ours["choices"] = theirs.pop("choices", [])
    ours["usage"] = theirs.pop("usage", None)
    hidden = {name: value for name, value in theirs.items() if name in ours or name == "upstream"}
    return {**theirs, **ours, "upstream": hidden}


def facts(job: Job, around: Circumstances) -> dict[str, Any]:
    """What every view of a job shows under the same names."""
    return {
        "metadata": job.metadata,
        "service_tier": job.service_tier,
        "background": job.background,
        "queue_position": around.queue_position,
        "attempts": job.calls,
        "started_at": _seconds(job.started_at),
        "expires_at": _seconds(job.expires_at),
        "webhook": _webhook(job),
        "waiting_for": around.waiting_for,
        "provider": {"id": job.provider_id, "slug": job.provider_slug},
    }


def failure(job: Job, sealer: Sealer) -> dict[str, Any] | None:
    """OpenAI's error object of a job that failed or was cancelled, else None."""
    if job.error_code is None:
        return None
    kind = JOB_FAILURES[job.error_code]
    assert issubclass(kind, JobFailure)  # noqa: S101 - what the table of failures holds
    message = kind.standard
    if job.error_sealed is not None:
        try:
            stored = sealer.open(job.error_sealed, table=jobs.TABLE, row=job.id, column=jobs.ERROR)
            document: dict[str, Any] = msgspec.json.decode(stored)
            return document
        except SealBroken as broken:  # the code is known all the same
            message = problems.unreadable(broken).message
    if job.error_code == DeadlineExceeded.code and job.last_cause is not None:
        message = f"{message} The last try ended with {job.last_cause}."
    return {
        "message": message,
        "type": kind.type,
        "code": kind.code,
        "param": None,
        "may_have_been_billed": job.may_have_been_billed,
    }


def _webhook(job: Job) -> dict[str, Any] | None:
    """What became of the webhook; before the job's end there is nothing to deliver yet."""
    if not job.webhook:
        return None
    return {"status": job.webhook_status or PENDING, "attempts": job.webhook_tries or 0}


def _seconds(moment: float | None) -> int | None:
    return None if moment is None else int(moment)


def messages(job_id: str, sent: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The submitted messages as OpenAI's stored ones; a list of parts is `content_parts`."""
    found = []
    for number, message in enumerate(sent):
        content = message.get("content")
        parts = content if isinstance(content, list) else None
        found.append(
            {
                **message,
                "id": f"{job_id}-{number}",
                "content": None if parts is not None else content,
                "content_parts": parts,
            }
        )
    return found


def attempt_document(job: Job, attempt: Attempt) -> dict[str, Any]:
    """One attempt as evidence: what was called with which key, when, and what came.

    Durations are in seconds; `queued_seconds` runs from the submission to the first attempt's
    begin, and is null for later ones.
    """
    queued = attempt.started_at - job.created_at if attempt.attempt == 1 else None
    return {
        "object": "chat.completion.attempt",
        "attempt": attempt.attempt,
        "chat_url": attempt.chat_url,
        "api_key_fingerprint": attempt.key_fingerprint,
        "provider_revision": attempt.provider_revision,
        "worker": attempt.worker_id,
        "started_at": attempt.started_at,
        "ended_at": attempt.ended_at,
        "timings": {
            "queued_seconds": queued,
            "connect_seconds": attempt.connect_seconds,
            "first_byte_seconds": attempt.first_byte_seconds,
            "total_seconds": attempt.ended_at - attempt.started_at,
        },
        "calls": attempt.calls,
        "sent": attempt.sent,
        "outcome": attempt.outcome,
        "counted": not attempt.fenced,
        "upstream_status": attempt.upstream_status,
        "upstream_request_id": attempt.upstream_request_id,
        "usage": {
            "prompt_tokens": attempt.prompt_tokens,
            "completion_tokens": attempt.completion_tokens,
        },
    }
