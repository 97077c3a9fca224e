"""What no schema of the routes knows: arguments with names of the caller's, and webhooks."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Final

from services.registry.openapi.headers import CHAT, operations
from services.registry.shaping import TEXT, TIME, object_of, ref, words

METADATA: Final = {
    "name": "metadata",
    "in": "query",
    "required": False,
    "style": "deepObject",
    "explode": True,
    "schema": {"type": "object", "additionalProperties": TEXT},
    "description": "only jobs with this metadata: `metadata[run]=42`; of several names, with all",
}
_ENDS: Final = tuple(
    f"{kind}.{end}"
    for kind in ("chat.completion", "response")
    for end in ("completed", "failed", "cancelled")
)
_SIGNED: Final = {
    "webhook-id": "the event's id, the same over all tries",
    "webhook-timestamp": "Unix seconds of this try",
    "webhook-signature": "`v1,` and the base64 of an HMAC-SHA256 of id, timestamp and body",
}
WEBHOOK: Final = {
    "post": {
        "operationId": "jobEnded",
        "summary": "The end of a job, told to the URL of its `background_options.webhook`.",
        "description": "As Standard Webhooks has it. Any 2xx within 15 s is a delivery; all else "
        "is tried again after 5 s, 5 min, 30 min, 2 h, 5 h and 10 h; 410 stops that.",
        "security": [],
        "parameters": [
            {"name": name, "in": "header", "required": True, "schema": TEXT, "description": about}
            for name, about in _SIGNED.items()
        ],
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": ref("WebhookEvent")}},
        },
        "responses": {"2XX": {"description": "It was received."}},
    }
}
EVENT: Final = {
    **object_of(
        id={**TEXT, "description": "the same over all tries"},
        object=words("event"),
        type=words(*_ENDS),
        created_at=TIME,
        data=object_of(id={**TEXT, "description": "of the job, to be retrieved"}),
    ),
    "description": "What a webhook is told; thin, so that nothing of a job leaves unasked.",
}


def describe(document: dict[str, Any]) -> None:
    """Add them to an OpenAPI document, and the phrase of each status that says nothing else."""
    for path, method, operation in operations(document):
        if (method, path) == ("get", CHAT):
            operation["parameters"].append(METADATA)
        for status, answer in operation["responses"].items():
            if "$ref" not in answer:
                answer.setdefault("description", HTTPStatus(int(status)).phrase)
    document["components"]["schemas"]["WebhookEvent"] = EVENT
    document["webhooks"] = {"jobEnded": WEBHOOK}
