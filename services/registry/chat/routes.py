"""`/v1/chat/completions`: submit, and read by id."""

from __future__ import annotations

from typing import Any, Final

from flask import Response, request

from services.registry import answers, clients, json_bodies, preferences
from services.registry.authentication import current_caller
from services.registry.blueprints import Blueprint, guarded
from services.registry.chat import idempotency, records
from services.registry.chat.calls import Calls
from services.registry.chat.frames import CONTENT_TYPE
from services.registry.chat.jobs import Jobs
from services.registry.chat.naming import COMPLETIONS
from services.registry.chat.replies import Replies
from services.registry.chat.request import ChatReader, ChatRequest
from services.registry.chat.submission import Submission, Submitted
from services.registry.chat.views import CompletionView
from services.registry.parts import Parts
from services.registry.refusals import shown
from services.registry.schemas import Strict, Truth, Whole
from services.registry.shapes import ref
from shared import ids
from shared.errors import InvalidValue
from shared.telemetry import request_id

_LAST_NUMBER: Final = 2**31
_NUMBER: Final = "the number of a chunk"
STREAMED: Final = {200: {"content": {CONTENT_TYPE: {"schema": {"type": "string"}}}}}


class RetrieveQuery(Strict):
    """The query of `GET /v1/chat/completions/{id}`."""

    stream = Truth(load_default=False, metadata={"description": "replay the chunks, then follow"})
    starting_after = Whole(
        -1,
        _LAST_NUMBER,
        expected=_NUMBER,
        in_query=True,
        metadata={"description": "only the chunks behind this `sequence_number`"},
    )


def blueprint(parts: Parts) -> Blueprint:
    """The routes of chats over these parts."""
    routes = guarded(parts, "chat", COMPLETIONS.route, "Chat completions, which are the jobs.")
    reader = ChatReader()
    content = {"application/json": {"schema": ref(ChatRequest.__name__)}}
    body = {"required": True, "content": content}
    view = CompletionView(parts.sealer)
    submission, jobs, replies = Submission(parts), Jobs(parts), Replies(parts, view)
    calls = Calls(parts, jobs, view)

    @routes.post("")
    @routes.doc(requestBody=body, responses=STREAMED)
    @routes.response(200, ref("ChatCompletion"), description="The completion; or a stream of it.")
    @routes.alt_response(
        202, schema=ref("ChatCompletion"), description="The job: poll it at `Location`."
    )
    def create() -> Response:
        """Submit a chat, and wait for its end unless `background` or `Prefer` say otherwise.

        With `stream` the answer comes as it is made. With an `Idempotency-Key` the same body makes
        one job, however often it is sent.
        """
        prefer, sent = preferences.of(request), json_bodies.read(request)
        chat = reader.read(sent, prefer)
        key = idempotency.of(request, sent, parts.sealer)
        caller, job_id = current_caller(), ids.new()
        # Whoever sends a key repeats the call when its connection is lost: the job goes on for it.
        client = clients.of(request) if key is None else None

        def submit() -> Submitted:
            return submission.submit(
                job_id, chat, caller, request_id=request_id.get(), idempotency=key
            )

        return calls.answer(job_id, submit, chat, caller, client, prefer)

    @routes.get("/<job_id>")
    @routes.arguments(RetrieveQuery, location="query")
    @routes.doc(responses=STREAMED)
    @routes.response(200, ref("ChatCompletion"))
    @routes.alt_response(304, description="If-None-Match names the current version")
    def retrieve(query: dict[str, Any], job_id: str) -> Response:
        """The job in every state, with its result once it has one.

        `Prefer: wait=N` waits for the end; with `If-None-Match` for any change. With `stream=true`
        its chunks, from the first or behind `starting_after` (or `Last-Event-ID`).
        """
        return retrieved(query, job_id, jobs, replies, calls)

    records.add(routes, parts, jobs, replies.shown)
    return routes


def retrieved(
    query: dict[str, Any], job_id: str, jobs: Jobs, replies: Replies, calls: Calls
) -> Response:
    """What a `RetrieveQuery` and the headers of this request ask for of a job."""
    prefer, caller = preferences.of(request), current_caller()
    if query["stream"]:
        return calls.resume(job_id, caller, after=_after(query.get("starting_after")))
    if prefer.wait:
        held = answers.holds(request)
        seen = jobs.wait(job_id, caller, seconds=prefer.wait, is_known=held)
    else:
        seen = jobs.get(job_id, caller)
    applied = prefer.applied("wait")
    if answers.is_known(request, seen[0].version):
        return answers.not_modified(seen[0].version, applied)
    return replies.shown(seen, applied)


def _after(starting_after: int | None) -> int:
    """The number behind which to begin; the query wins over the header."""
    if starting_after is not None:
        return starting_after
    header = request.headers.get("Last-Event-ID")
    if header is None:
        return -1
    if not (header.isascii() and header.isdigit() and int(header[:12]) <= _LAST_NUMBER):
        raise InvalidValue(
            f"Last-Event-ID: Expected {_NUMBER}, got {shown(header)}.", param="Last-Event-ID"
        )
    return int(header)
