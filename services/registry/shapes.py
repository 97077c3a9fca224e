"""The shapes of what is answered, as JSON Schema for the OpenAPI document.

What is asked is described by the schemas that validate it; answers are built by `documents`
modules, and a contract test holds what they build against these shapes.
"""

from __future__ import annotations

from typing import Final

from services.registry import discovery_shapes
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
from shared.domain import DiscoveryStatus, GateReason, JobState
from shared.errors import JOB_FAILURES, REQUEST_ERRORS

__all__ = ["Shape", "components", "ref"]

_WAITS: Final = ("provider_busy", *(reason.value for reason in GateReason), "provider_disabled")


def components() -> dict[str, Shape]:
    """Name → schema of everything that is answered."""
    return {
        "Provider": _provider(),
        "ProviderList": page_of("Provider"),
        "ProviderImpact": _impact(),
        "Model": _model(),
        "ModelList": page_of("Model"),
        "ChatCompletion": _completion(),
        "ChatCompletionList": page_of("ChatCompletion"),
        "DeletedCompletion": object_of(
            id=TEXT, object=words("chat.completion.deleted"), deleted=FLAG
        ),
        "Message": _message(),
        "MessageList": page_of("Message"),
        "Attempt": _attempt(),
        "AttemptList": object_of(object=words("list"), data=list_of(ref("Attempt")), has_more=FLAG),
        "Health": object_of(status=words("ok", "degraded", "unavailable"), checks=map_of(TEXT)),
        "Liveness": object_of(status=words("ok")),
        "Error": _error(),
        "Problem": _problem(),
        **discovery_shapes.components(),
    }


def _provider() -> Shape:
    return object_of(
        id=TEXT,
        object=words("provider"),
        name=TEXT,
        slug=TEXT,
        endpoint={**TEXT, "description": "as it was typed"},
        chat_url=TEXT,
        models_url=TEXT,
        api_key=object_of(
            set=FLAG,
            last4=or_null(TEXT),
            fingerprint=or_null(TEXT),
            rotated_at=or_null(TIME),
        ),
        description=TEXT,
        tags=list_of(TEXT),
        enabled=FLAG,
        visibility={"anyOf": [words("everyone", "admins"), list_of(TEXT)]},
        options=ref("Options"),
        discovery=object_of(
            status=words(*(status.value for status in DiscoveryStatus)),
            checked_at=or_null(TIME),
            ok_at=or_null(TIME),
            model_count=WHOLE,
            key_verified_at=or_null(TIME),
            error={"type": ["object", "null"]},
            next_check_at=or_null(TIME),
        ),
        revision=WHOLE,
        created_at=TIME,
        updated_at=TIME,
    )


def _impact() -> Shape:
    return object_of(
        id=TEXT,
        object=words("provider.impact"),
        queued={**WHOLE, "description": "jobs that a delete would end as failed"},
        running={**WHOLE, "description": "jobs that would still finish"},
        last_used_at=or_null(
            {**TIME, "description": "Unix seconds; when the newest job that is still kept came"}
        ),
        message={**TEXT, "description": "the same as a sentence for people"},
    )


def _model() -> Shape:
    return object_of(
        id={**TEXT, "description": "provider's slug, a slash, the provider's own id"},
        object=words("model"),
        created=TIME,
        owned_by=TEXT,
        context_length=or_null(WHOLE),
        max_model_len=or_null(WHOLE),
        provider=object_of(id=TEXT, name=TEXT, status=TEXT),
    )


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
        webhook={"type": ["object", "null"]},
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
        outcome={**TEXT, "description": "`completed`, or an error code"},
        counted={**FLAG, "description": "false: its result came too late and was dropped"},
        upstream_status=or_null(WHOLE),
        upstream_request_id=or_null(TEXT),
        usage=object_of(prompt_tokens=count, completion_tokens=count),
    )


def _error() -> Shape:
    tree = {**REQUEST_ERRORS, **JOB_FAILURES}
    shape = object_of(
        message={**TEXT, "description": "what was expected, what came, and what to do"},
        type=words(*sorted({kind.type for kind in tree.values()})),
        code=words(*tree),
        param={**or_null(TEXT), "description": "JSON path of the field at fault"},
    )
    shape["description"] = "OpenAI's error object; both official SDKs parse it."
    shape["properties"] |= {
        "may_have_been_billed": {
            **FLAG,
            "description": "failures of a job: the provider may have done the work all the same",
        },
        "phase": words("connect", "first_byte", "idle", "total"),
        "upstream_status": WHOLE,
    }
    return shape


def _problem() -> Shape:
    shape = object_of(
        type=TEXT, title=TEXT, status=WHOLE, detail=TEXT, instance=TEXT, error=ref("Error")
    )
    shape["description"] = "RFC 9457 problem document."
    return shape
