"""`/v1/chat/completions`: submit, and read by id."""

from __future__ import annotations

import socket

import sqlalchemy as sa
from flask import Response, request

from services.registry import answers, json_bodies, problems
from services.registry.authentication import current_caller
from services.registry.blueprints import Blueprint, guarded
from services.registry.chat.documents import SETTLED, circumstances, completion
from services.registry.chat.documents import failure as failure_of
from services.registry.chat.request import Chat, ChatReader, ChatRequest
from services.registry.chat.submission import Accepted, Submission
from services.registry.parts import Parts
from services.registry.shapes import ref
from services.registry.waiting import LOOK_SECONDS, WORKERS_MARGIN
from shared import ids
from shared.domain import JobState
from shared.errors import (
    DeadlineExceeded,
    InvalidValue,
    NotFound,
    UpstreamLoading,
    UpstreamRateLimited,
)
from shared.store import jobs
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
    submission = Submission(parts.transactions, parts.sealer, parts.bell, parts.now)

    @routes.post("")
    @routes.doc(requestBody=body)
    @routes.response(200, ref("ChatCompletion"), description="The completion.")
    @routes.alt_response(
        202, schema=ref("ChatCompletion"), description="The job: poll it at `Location`."
    )
    def create() -> Response:
        """Submit a chat, and wait for its end unless `background` is true."""
        _refuse_idempotency(request.headers.get("Idempotency-Key"))
        chat = reader.read(json_bodies.read(request))
        job_id = ids.new()
        if chat.background:
            return _accepted(submit(job_id, chat))
        client: socket.socket | None = request.environ.get("gunicorn.socket")
        with parts.waiting.held(job_id, client) as wait:
            job, _ = submit(job_id, chat)
            wait.deadline = job.deadline
            # Whoever ends the job last is this process's own look, at the latest by then.
            patience = job.deadline + WORKERS_MARGIN + 3 * LOOK_SECONDS - parts.now()
            wait.ended.wait(patience)
        return _ended(read(job_id, owner=None)[0])

    @routes.get("/<job_id>")
    @routes.response(200, ref("ChatCompletion"))
    @routes.alt_response(304, description="If-None-Match names the current version")
    def retrieve(job_id: str) -> Response:
        """The job in every state, with its result once it has one."""
        caller = current_caller()
        bare = ids.bare(ids.COMPLETION, job_id)
        if bare is None:
            raise _unknown(job_id)
        job, around = read(bare, owner=None if caller.is_admin else caller.owner)
        if answers.is_known(request, job.version):
            return answers.not_modified(job.version)
        headers = {"ETag": answers.etag(job.version)}
        if not job.state.terminal:
            headers["Retry-After"] = POLL_AFTER
        return answers.json_answer(completion(job, around, parts.sealer), 200, headers)

    def submit(job_id: str, chat: Chat) -> Accepted:
        return submission.submit(job_id, chat, current_caller(), request_id=request_id.get())

    def read(job_id: str, *, owner: str | None) -> Accepted:
        now = parts.now()

        def find(tx: sa.Connection) -> Accepted:
            job = jobs.get(tx, job_id, owner=owner)
            if job is None:
                raise _unknown(ids.COMPLETION + job_id)
            return job, circumstances(tx, job, now=now)

        return parts.transactions.read(find)

    def _accepted(accepted: Accepted) -> Response:
        job, around = accepted
        headers = {
            "Location": f"{ROUTE}/{ids.COMPLETION}{job.id}",
            "Retry-After": POLL_AFTER,
            "ETag": answers.etag(job.version),
        }
        return answers.json_answer(completion(job, around, parts.sealer), 202, headers)

    def _ended(job: Job) -> Response:
        if job.state is JobState.COMPLETED:
            result = completion(job, SETTLED, parts.sealer)
            unreadable = result["error"]
            return problems.of_failure(unreadable) if unreadable else answers.json_answer(result)
        document = failure_of(job, parts.sealer)
        if document is None:  # nobody could end it: the database was away for long
            return problems.of_failure(DeadlineExceeded().document())
        return problems.of_failure(document, retry_after=_retry_after(job, parts.now()))

    return routes


def _refuse_idempotency(key: str | None) -> None:
    """Whoever sends a key relies on it: a second job for the same key would be paid twice."""
    if key is not None:
        raise InvalidValue(
            "Expected no Idempotency-Key, got one: idempotent submission is not available in this "
            "version. Leave the header out, and look whether the job exists before you repeat.",
            param="Idempotency-Key",
        )


def _unknown(job_id: str) -> NotFound:
    return NotFound(f"Expected the id of a chat completion of yours, got {job_id[:100]!r}.")


def _retry_after(job: Job, now: float) -> float | None:
    """What the upstream asked for, as the provider's gate remembers it; in seconds."""
    busy = job.error_code in (UpstreamRateLimited.code, UpstreamLoading.code)
    if not busy or job.gate_closed_until is None or job.gate_closed_until <= now:
        return None
    return job.gate_closed_until - now
