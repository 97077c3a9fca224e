"""The shapes of what is answered, as JSON Schema for the OpenAPI document.

What is asked is described by the schemas that validate it; answers are built by `documents`
modules, and a contract test holds what they build against these shapes.
"""

from __future__ import annotations

from typing import Any, Final

from shared.domain import DiscoveryStatus, GateReason, JobState
from shared.errors import JOB_FAILURES, REQUEST_ERRORS

Shape = dict[str, Any]

_TEXT: Final[Shape] = {"type": "string"}
_WHOLE: Final[Shape] = {"type": "integer"}
_FLAG: Final[Shape] = {"type": "boolean"}
_TIME: Final[Shape] = {"type": "integer", "description": "Unix seconds"}
_WAITS: Final = ("provider_busy", *(reason.value for reason in GateReason), "provider_disabled")


def components() -> dict[str, Shape]:
    """Name → schema of everything that is answered."""
    return {
        "Provider": _provider(),
        "ProviderList": _list("Provider"),
        "ProviderImpact": _impact(),
        "Model": _model(),
        "ModelList": _list("Model"),
        "ChatCompletion": _completion(),
        "ChatCompletionList": _list("ChatCompletion"),
        "DeletedCompletion": _object(
            id=_TEXT, object=_words("chat.completion.deleted"), deleted=_FLAG
        ),
        "Message": _message(),
        "MessageList": _list("Message"),
        "Attempt": _attempt(),
        "AttemptList": _object(
            object=_words("list"), data=_list_of(ref("Attempt")), has_more=_FLAG
        ),
        "Health": _object(status=_words("ok", "degraded", "unavailable"), checks=_map(_TEXT)),
        "Liveness": _object(status=_words("ok")),
        "Error": _error(),
        "Problem": _problem(),
    }


def ref(name: str) -> Shape:
    """A reference to a component."""
    return {"$ref": f"#/components/schemas/{name}"}


def _object(**properties: Shape) -> Shape:
    return {"type": "object", "required": list(properties), "properties": properties}


def _or_null(shape: Shape) -> Shape:
    if "type" in shape and "enum" not in shape:
        return {**shape, "type": [shape["type"], "null"]}
    return {"anyOf": [shape, {"type": "null"}]}


def _words(*words: str) -> Shape:
    return {"type": "string", "enum": list(words)}


def _list_of(shape: Shape) -> Shape:
    return {"type": "array", "items": shape}


def _map(shape: Shape) -> Shape:
    return {"type": "object", "additionalProperties": shape}


def _list(name: str) -> Shape:
    return _object(
        object=_words("list"),
        data=_list_of(ref(name)),
        first_id=_or_null(_TEXT),
        last_id=_or_null(_TEXT),
        has_more=_FLAG,
    )


def _provider() -> Shape:
    return _object(
        id=_TEXT,
        object=_words("provider"),
        name=_TEXT,
        slug=_TEXT,
        endpoint={**_TEXT, "description": "as it was typed"},
        chat_url=_TEXT,
        models_url=_TEXT,
        api_key=_object(
            set=_FLAG,
            last4=_or_null(_TEXT),
            fingerprint=_or_null(_TEXT),
            rotated_at=_or_null(_TIME),
        ),
        description=_TEXT,
        tags=_list_of(_TEXT),
        enabled=_FLAG,
        visibility={"anyOf": [_words("everyone", "admins"), _list_of(_TEXT)]},
        options=ref("Options"),
        discovery=_object(
            status=_words(*(status.value for status in DiscoveryStatus)),
            checked_at=_or_null(_TIME),
            ok_at=_or_null(_TIME),
            model_count=_WHOLE,
            key_verified_at=_or_null(_TIME),
            error={"type": ["object", "null"]},
            next_check_at=_or_null(_TIME),
        ),
        revision=_WHOLE,
        created_at=_TIME,
        updated_at=_TIME,
    )


def _impact() -> Shape:
    return _object(
        id=_TEXT,
        object=_words("provider.impact"),
        queued={**_WHOLE, "description": "jobs that a delete would end as failed"},
        running={**_WHOLE, "description": "jobs that would still finish"},
        last_used_at=_or_null(
            {**_TIME, "description": "Unix seconds; when the newest job that is still kept came"}
        ),
        message={**_TEXT, "description": "the same as a sentence for people"},
    )


def _model() -> Shape:
    return _object(
        id={**_TEXT, "description": "provider's slug, a slash, the provider's own id"},
        object=_words("model"),
        created=_TIME,
        owned_by=_TEXT,
        context_length=_or_null(_WHOLE),
        max_model_len=_or_null(_WHOLE),
        provider=_object(id=_TEXT, name=_TEXT, status=_TEXT),
    )


def _completion() -> Shape:
    shape = _object(
        id={**_TEXT, "description": "of the completion, and so of the job"},
        object=_words("chat.completion"),
        created=_TIME,
        model=_TEXT,
        choices={**_list_of({"type": "object"}), "description": "as the provider gave them"},
        usage={"type": ["object", "null"], "description": "null: the provider reported none"},
        metadata=_map(_TEXT),
        service_tier=_TEXT,
        background=_FLAG,
        status=_words(*(state.value for state in JobState)),
        queue_position=_or_null(_WHOLE),
        attempts={**_WHOLE, "description": "calls begun"},
        started_at=_or_null(_TIME),
        completed_at=_or_null(_TIME),
        expires_at=_or_null(_TIME),
        error=_or_null(ref("Error")),
        webhook={"type": ["object", "null"]},
        waiting_for=_or_null(
            _object(reason=_words(*_WAITS), until=_or_null(_TIME), cause=_or_null(_TEXT))
        ),
        provider=_object(id=_TEXT, slug=_TEXT),
    )
    shape["properties"]["upstream"] = {
        "type": "object",
        "description": "the provider's own fields that share a name with one of ours",
    }
    return shape


def _message() -> Shape:
    parts = _list_of({"type": "object"})
    return _object(id=_TEXT, content=_or_null(_TEXT), content_parts=_or_null(parts))


def _attempt() -> Shape:
    seconds = _or_null({"type": "number"})
    count = _or_null(_WHOLE)
    return _object(
        object=_words("chat.completion.attempt"),
        attempt=_WHOLE,
        chat_url=_TEXT,
        api_key_fingerprint=_or_null(_TEXT),
        provider_revision=_WHOLE,
        worker=_TEXT,
        started_at={"type": "number", "description": "Unix seconds, with fractions"},
        ended_at={"type": "number"},
        timings=_object(
            queued_seconds=seconds,
            connect_seconds=seconds,
            first_byte_seconds=seconds,
            total_seconds={"type": "number"},
        ),
        calls={**_WHOLE, "description": "calls begun in this attempt"},
        sent={**_FLAG, "description": "whether any byte of a request may have left"},
        outcome={**_TEXT, "description": "`completed`, or an error code"},
        counted={**_FLAG, "description": "false: its result came too late and was dropped"},
        upstream_status=_or_null(_WHOLE),
        upstream_request_id=_or_null(_TEXT),
        usage=_object(prompt_tokens=count, completion_tokens=count),
    )


def _error() -> Shape:
    tree = {**REQUEST_ERRORS, **JOB_FAILURES}
    shape = _object(
        message={**_TEXT, "description": "what was expected, what came, and what to do"},
        type=_words(*sorted({kind.type for kind in tree.values()})),
        code=_words(*tree),
        param={**_or_null(_TEXT), "description": "JSON path of the field at fault"},
    )
    shape["description"] = "OpenAI's error object; both official SDKs parse it."
    shape["properties"] |= {
        "may_have_been_billed": {
            **_FLAG,
            "description": "failures of a job: the provider may have done the work all the same",
        },
        "phase": _words("connect", "first_byte", "idle", "total"),
        "upstream_status": _WHOLE,
    }
    return shape


def _problem() -> Shape:
    shape = _object(
        type=_TEXT, title=_TEXT, status=_WHOLE, detail=_TEXT, instance=_TEXT, error=ref("Error")
    )
    shape["description"] = "RFC 9457 problem document."
    return shape
