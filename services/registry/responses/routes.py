"""`/v1/responses`: create, retrieve, cancel, delete."""

from __future__ import annotations

from typing import Any, Final

from flask import Response, request

from services.registry import answers, clients, json_bodies, preferences
from services.registry.authentication import current_caller
from services.registry.blueprints import Blueprint, guarded
from services.registry.chat import idempotency
from services.registry.chat.calls import Calls
from services.registry.chat.jobs import Jobs
from services.registry.chat.naming import RESPONSES
from services.registry.chat.replies import Replies
from services.registry.chat.routes import STREAMED, RetrieveQuery, retrieved
from services.registry.chat.submission import Submission, Submitted
from services.registry.parts import Parts
from services.registry.responses import translation
from services.registry.responses.request import RequestReader, ResponseRequest
from services.registry.responses.view import ResponseView
from services.registry.shapes import ref
from shared import ids
from shared.telemetry import request_id

_ABOUT: Final = "Jobs in the form of OpenAI's Responses: `resp_X` and `chatcmpl-X` are one job."


def blueprint(parts: Parts) -> Blueprint:
    """The routes of responses over these parts."""
    routes = guarded(parts, "responses", RESPONSES.route, _ABOUT)
    reader, view = RequestReader(), ResponseView(parts)
    content = {"application/json": {"schema": ref(ResponseRequest.__name__)}}
    body = {"required": True, "content": content}
    submission, jobs, replies = Submission(parts), Jobs(parts, RESPONSES), Replies(parts, view)
    calls = Calls(parts, jobs, view)

    @routes.post("")
    @routes.doc(requestBody=body, responses=STREAMED)
    @routes.response(200, ref("Response"), description="The response; or its events.")
    @routes.alt_response(202, schema=ref("Response"), description="The job: poll it at `Location`.")
    def create() -> Response:
        """Ask for a response of text or of function calls, and wait for it as for a chat."""
        prefer, sent = preferences.of(request), json_bodies.read(request)
        chat = translation.chat(reader.read(sent), prefer)
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
    @routes.response(200, ref("Response"))
    @routes.alt_response(304, description="If-None-Match names the current version")
    def retrieve(query: dict[str, Any], job_id: str) -> Response:
        """The response in every state, with its output once it has one.

        `Prefer: wait=N` waits for the end; with `If-None-Match` for any change. With `stream=true`
        its events, from the first or behind `starting_after`.
        """
        return retrieved(query, job_id, jobs, replies, calls)

    @routes.post("/<job_id>/cancel")
    @routes.response(200, ref("Response"))
    def cancel(job_id: str) -> Response:
        """End a background response now; its connection to the provider closes within 2 s."""
        return replies.shown(jobs.cancel(job_id, current_caller()))

    @routes.delete("/<job_id>")
    @routes.response(200, ref("DeletedResponse"))
    def delete(job_id: str) -> Response:
        """Forget a response, and so its chat completion; a live one is cancelled first."""
        jobs.delete(job_id, current_caller())
        return answers.json_answer({"id": job_id, "object": "response", "deleted": True})

    return routes
