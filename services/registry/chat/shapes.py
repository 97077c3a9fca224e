"""The shapes of jobs, as JSON Schema for the OpenAPI document."""

from __future__ import annotations

from typing import Final

from services.registry.shaping import (
    FLAG,
    TEXT,
    TIME,
    WHOLE,
    Shape,
    list_of,
    map_of,
    object_of,
    or_null,
    page_of,
    ref,
    words,
)
from shared.domain import GateReason, JobState
from shared.store.deliveries import DELIVERED, FAILED, PENDING

_WAITS: Final = ("provider_busy", *(reason.value for reason in GateReason), "provider_disabled")


def components() -> dict[str, Shape]:
    """Name → schema of everything that the routes of chats answer."""
    return {
        "ChatCompletion": _completion(),
        "ChatCompletionList": page_of("ChatCompletion"),
        "DeletedCompletion": object_of(
            id=TEXT, object=words("chat.completion.deleted"), deleted=FLAG
        ),
        "Message": _message(),
        "MessageList": page_of("Message"),
        "Attempt": _attempt(),
        "AttemptList": object_of(object=words("list"), data=list_of(ref("Attempt")), has_more=FLAG),
    }


def _completion() -> Shape:
    shape = object_of(
        id={**TEXT, "description": "of the completion, and so of the job"},
        object=words("chat.completion"),
        created=TIME,
        model=TEXT,
        choices={**list_of({"type": "object"}), "description": "as the provider gave them"},
        usage={"type": ["object", "null"], "description": "null: the provider reported none"},
        metadata=map_of(TEXT),
        service_tier=TEXT,
        background=FLAG,
        status=words(*(state.value for state in JobState)),
        queue_position=or_null(WHOLE),
        attempts={**WHOLE, "description": "calls begun"},
        started_at=or_null(TIME),
        completed_at=or_null(TIME),
        expires_at=or_null(TIME),
        error=or_null(ref("Error")),
        webhook=or_null(object_of(status=words(PENDING, DELIVERED, FAILED), attempts=WHOLE)),
        waiting_for=or_null(
            object_of(reason=words(*_WAITS), until=or_null(TIME), cause=or_null(TEXT))
        ),
        provider=object_of(id=TEXT, slug=TEXT),
    )
    shape["properties"]["upstream"] = {
        "type": "object",
        "description": "the provider's own fields that share a name with one of ours",
    }
    return shape


def _message() -> Shape:
    parts = list_of({"type": "object"})
    return object_of(id=TEXT, content=or_null(TEXT), content_parts=or_null(parts))


def _attempt() -> Shape:
    seconds = or_null({"type": "number"})
    count = or_null(WHOLE)
    return object_of(
        object=words("chat.completion.attempt"),
        attempt=WHOLE,
        chat_url=TEXT,
        api_key_fingerprint=or_null(TEXT),
        provider_revision=WHOLE,
        worker=TEXT,
        started_at={"type": "number", "description": "Unix seconds, with fractions"},
        ended_at={"type": "number"},
        timings=object_of(
            queued_seconds=seconds,
            connect_seconds=seconds,
            first_byte_seconds=seconds,
            total_seconds={"type": "number"},
        ),
        calls={**WHOLE, "description": "calls begun in this attempt"},
        sent={**FLAG, "description": "whether any byte of a request may have left"},
        outcome={
            **TEXT,
            "description": "`completed`, an error code, or `abandoned`: ended by others meanwhile",
        },
        counted={**FLAG, "description": "false: too late, or abandoned, and without a result"},
        upstream_status=or_null(WHOLE),
        upstream_request_id=or_null(TEXT),
        usage=object_of(prompt_tokens=count, completion_tokens=count),
    )
