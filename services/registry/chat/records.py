"""`/v1/chat/completions`: lists, what was asked, the evidence, metadata, cancel, delete."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import marshmallow as ma
import msgspec
from flask import Response, request

from services.registry import answers, json_bodies, paging
from services.registry.authentication import current_caller
from services.registry.blueprints import Blueprint
from services.registry.chat.documents import Seen, attempt_document, completion, messages
from services.registry.chat.jobs import Jobs
from services.registry.chat.naming import COMPLETIONS
from services.registry.chat.request import MetadataChange
from services.registry.parts import Parts
from services.registry.schemas import OneOf, Text
from services.registry.shapes import ref
from shared import ids
from shared.domain import JobState
from shared.store.jobs import Wanted

COMPLETION_ID = f"{ids.COMPLETION}[0-9A-Z]{{26}}"


class JobQuery(paging.PageQuery):
    """The query of `GET /v1/chat/completions`; `metadata[key]=value` may come for several keys."""

    after = Text(pattern=COMPLETION_ID, expected="the id of a chat completion")
    status = Text(
        validate=OneOf([state.value for state in JobState]),
        metadata={"description": "only jobs in this state"},
    )
    model = Text(metadata={"description": "only jobs for this model, as `slug/id`"})
    provider = Text(metadata={"description": "only jobs of this provider (id or slug)"})

    @ma.pre_load
    def without_metadata(self, data: Any, **_: Any) -> dict[str, Any]:
        """What is left when `metadata[…]`, which names its own members, is read elsewhere."""
        return {name: value for name, value in data.items() if not _is_metadata(name)}


class MessageQuery(paging.PageQuery):
    """The query of `GET /v1/chat/completions/{id}/messages`."""

    after = Text(metadata={"description": "the id of the message after which the page begins"})


def add(routes: Blueprint, parts: Parts, jobs: Jobs, shown: Callable[[Seen], Response]) -> None:
    """Add these routes; `shown` answers with one job."""
    changes = msgspec.json.Decoder(MetadataChange)
    content = {"application/json": {"schema": ref(MetadataChange.__name__)}}
    body = {"required": True, "content": content}

    @routes.get("")
    @routes.arguments(JobQuery, location="query")
    @routes.response(200, ref("ChatCompletionList"))
    def show_all(query: dict[str, Any]) -> Response:
        """List the caller's stored jobs (`store: true`), oldest first unless `order=desc`."""
        caller, after = current_caller(), query.get("after")
        wanted = Wanted(
            owner=None if caller.is_admin else caller.owner,
            state=JobState(query["status"]) if "status" in query else None,
            model=query.get("model"),
            provider=query.get("provider"),
            metadata={
                name[len("metadata[") : -1]: value
                for name, value in request.args.items()
                if _is_metadata(name)
            },
        )
        seen, has_more = jobs.listed(
            wanted,
            limit=query.get("limit", paging.USUAL),
            after=COMPLETIONS.bare(after) if after is not None else None,
            newest_first=query["order"] == "desc",
        )
        data = [completion(job, around, parts.sealer) for job, around in seen]
        headers = paging.link(data, has_more=has_more)
        return answers.json_answer(paging.envelope(data, has_more=has_more), 200, headers)

    @routes.get("/<job_id>/messages")
    @routes.arguments(MessageQuery, location="query")
    @routes.response(200, ref("MessageList"))
    def show_messages(query: dict[str, Any], job_id: str) -> Response:
        """The messages that were submitted, in their order."""
        sent = msgspec.json.decode(jobs.request(job_id, current_caller()))
        found = messages(job_id, sent["messages"])
        if query["order"] == "desc":
            found.reverse()
        ids_ = [message["id"] for message in found]
        begin = ids_.index(query["after"]) + 1 if query.get("after") in ids_ else 0
        data = found[begin : begin + query.get("limit", paging.USUAL)]
        has_more = begin + len(data) < len(found)
        headers = paging.link(data, has_more=has_more)
        return answers.json_answer(paging.envelope(data, has_more=has_more), 200, headers)

    @routes.get("/<job_id>/attempts")
    @routes.response(200, ref("AttemptList"))
    def show_attempts(job_id: str) -> Response:
        """The evidence: what each attempt called, when, and what came."""
        job, found = jobs.attempts(job_id, current_caller())
        data = [attempt_document(job, attempt) for attempt in found]
        return answers.json_answer({"object": "list", "data": data, "has_more": False})

    @routes.post("/<job_id>")
    @routes.doc(requestBody=body)
    @routes.response(200, ref("ChatCompletion"))
    def annotate(job_id: str) -> Response:
        """Replace the job's metadata."""
        change = json_bodies.decode(json_bodies.read(request), changes)
        return shown(jobs.annotate(job_id, current_caller(), change.metadata or {}))

    @routes.post("/<job_id>/cancel")
    @routes.response(200, ref("ChatCompletion"))
    def cancel(job_id: str) -> Response:
        """End a background job now; its connection to the provider closes within 2 s."""
        return shown(jobs.cancel(job_id, current_caller()))

    @routes.delete("/<job_id>")
    @routes.response(200, ref("DeletedCompletion"))
    def delete(job_id: str) -> Response:
        """Forget a job; a live one is cancelled first."""
        jobs.delete(job_id, current_caller())
        document = {"id": job_id, "object": "chat.completion.deleted", "deleted": True}
        return answers.json_answer(document)


def _is_metadata(name: str) -> bool:
    return name.startswith("metadata[") and name.endswith("]")
