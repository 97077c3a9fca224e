"""`/v1/chat/completions`: submit, and read by id."""

from __future__ import annotations

import socket

from flask import Response, request

from services.registry import answers, json_bodies, preferences, problems
from services.registry.authentication import current_caller
from services.registry.blueprints import Blueprint, guarded
from services.registry.chat import idempotency, records
from services.registry.chat.documents import SETTLED, Seen, completion
from services.registry.chat.documents import failure as failure_of
from services.registry.chat.jobs import Jobs
from services.registry.chat.request import FOREGROUND_TIMEOUT, ChatReader, ChatRequest
from services.registry.chat.submission import Submission, Submitted
from services.registry.parts import Parts
from services.registry.preferences import Preferences
from services.registry.shapes import ref
from services.registry.waiting import LOOK_SECONDS, WORKERS_MARGIN
from shared import ids
from shared.domain import JobState
from shared.errors import (
    Cancelled,
    DeadlineExceeded,
    NotFound,
    UpstreamLoading,
    UpstreamRateLimited,
)
from shared.store.jobs import Job
from shared.telemetry import request_id

ROUTE = "/v1/chat/completions"
POLL_AFTER = "2"  # seconds, as Retry-After


def blueprint(parts: Parts) -> Blueprint:
    """The routes of chats over these parts."""
    routes = guarded(parts.authenticator, "chat", ROUTE, "Chat completions, which are the jobs.")
    reader = ChatReader()
    content = {"application/json": {"schema": ref(ChatRequest.__name__)}}
    body = {"required": True, "content": content}
    submission = Submission(parts)
    jobs = Jobs(parts)

    @routes.post("")
    @routes.doc(requestBody=body)
    @routes.response(200, ref("ChatCompletion"), description="The completion.")
    @routes.alt_response(
        202, schema=ref("ChatCompletion"), description="The job: poll it at `Location`."
    )
    def create() -> Response:
        """Submit a chat, and wait for its end unless `background` or `Prefer` say otherwise.

        With an `Idempotency-Key` the same body makes one job, however often it is sent.
        """
        prefer, sent = preferences.of(request), json_bodies.read(request)
        unwatched = prefer.respond_async or prefer.wait is not None
        chat = reader.read(sent, unwatched=unwatched)
        key = idempotency.of(request, sent, parts.sealer)
        caller, job_id = current_caller(), ids.new()

        def submit() -> Submitted:
            return submission.submit(
                job_id, chat, caller, request_id=request_id.get(), idempotency=key
            )

        if chat.background:
            submitted = submit()
            seen = submitted.seen
            if prefer.wait and not seen[0].state.terminal:
                named = ids.COMPLETION + seen[0].id
                seen = jobs.wait(named, caller, seconds=prefer.wait, is_known=None)
            return _accepted(Submitted(seen, submitted.replayed), prefer)
        # Whoever sends a key repeats the call when its connection is lost: the job goes on for it.
        client: socket.socket | None = request.environ.get("gunicorn.socket") if not key else None
        with parts.waiting.held(job_id, client) as wait:
            submitted = submit()
            if not submitted.replayed:
                job, _ = submitted.seen
                wait.deadline, wait.begun = job.deadline, True
                wait.ended.wait(_patience(job))
        job, _ = submitted.seen
        try:
            if submitted.replayed:
                patience = min(_patience(job), FOREGROUND_TIMEOUT)
                named = ids.COMPLETION + job.id
                job, _ = jobs.wait(named, caller, seconds=patience, is_known=None)
            else:
                job, _ = jobs.get(ids.COMPLETION + job_id, caller)
        except NotFound:  # deleted while this call waited
            return problems.of_failure(Cancelled().document())
        return _ended(job, replayed=submitted.replayed)

    @routes.get("/<job_id>")
    @routes.response(200, ref("ChatCompletion"))
    @routes.alt_response(304, description="If-None-Match names the current version")
    def retrieve(job_id: str) -> Response:
        """The job in every state, with its result once it has one.

        `Prefer: wait=N` waits for the end; with `If-None-Match` for any change.
        """
        prefer, caller = preferences.of(request), current_caller()
        if prefer.wait:
            held = answers.holds(request)
            seen = jobs.wait(job_id, caller, seconds=prefer.wait, is_known=held)
        else:
            seen = jobs.get(job_id, caller)
        applied = prefer.applied("wait")
        if answers.is_known(request, seen[0].version):
            return answers.not_modified(seen[0].version, applied)
        return shown(seen, applied)

    def shown(seen: Seen, more: dict[str, str] | None = None) -> Response:
        job, around = seen
        headers = {"ETag": answers.etag(job.version), **(more or {})}
        if not job.state.terminal:
            headers["Retry-After"] = POLL_AFTER
        return answers.json_answer(completion(job, around, parts.sealer), 200, headers)

    def _accepted(submitted: Submitted, prefer: Preferences) -> Response:
        job, around = submitted.seen
        headers = {
            "Location": f"{ROUTE}/{ids.COMPLETION}{job.id}",
            "ETag": answers.etag(job.version),
            **prefer.applied("respond-async", "wait"),
            **(idempotency.REPLAYED if submitted.replayed else {}),
        }
        if job.state.terminal:
            return answers.json_answer(completion(job, SETTLED, parts.sealer), 200, headers)
        headers["Retry-After"] = POLL_AFTER
        return answers.json_answer(completion(job, around, parts.sealer), 202, headers)

    def _ended(job: Job, *, replayed: bool) -> Response:
        if job.state is JobState.COMPLETED:
            result = completion(job, SETTLED, parts.sealer)
            unreadable = result["error"]
            answer = problems.of_failure(unreadable) if unreadable else answers.json_answer(result)
        elif (document := failure_of(job, parts.sealer)) is not None:
            answer = problems.of_failure(document, retry_after=_retry_after(job, parts.now()))
        else:  # nobody could end it: the database was away for long
            answer = problems.of_failure(DeadlineExceeded().document())
        answer.headers.extend(idempotency.REPLAYED if replayed else {})
        return answer

    def _patience(job: Job) -> float:
        # Whoever ends the job last is this process's own look, at the latest by then.
        return job.deadline + WORKERS_MARGIN + 3 * LOOK_SECONDS - parts.now()

    records.add(routes, parts, jobs, shown)
    return routes


def _retry_after(job: Job, now: float) -> float | None:
    """What the upstream asked for, as the provider's gate remembers it; in seconds."""
    busy = job.error_code in (UpstreamRateLimited.code, UpstreamLoading.code)
    if not busy or job.gate_closed_until is None or job.gate_closed_until <= now:
        return None
    return job.gate_closed_until - now
