"""The shapes of what is answered, as JSON Schema for the OpenAPI document.

What is asked is described by the schemas that validate it; answers are built by `documents`
modules, and a contract test holds what they build against these shapes.
"""

from __future__ import annotations

from services.registry import discovery_shapes
from services.registry.audit import shapes as audit_shapes
from services.registry.chat import shapes as chat_shapes
from services.registry.keys import shapes as key_shapes
from services.registry.responses import shapes as response_shapes
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
from services.registry.usage import shapes as usage_shapes
from shared.domain import DiscoveryStatus
from shared.errors import JOB_FAILURES, REQUEST_ERRORS

__all__ = ["Shape", "components", "ref"]


def components() -> dict[str, Shape]:
    """Name → schema of everything that is answered."""
    chats = chat_shapes.components()
    return {
        "Provider": _provider(),
        "ProviderList": page_of("Provider"),
        "ProviderImpact": _impact(),
        "ResolvedEndpoint": object_of(object=words("endpoint"), chat_url=TEXT, models_url=TEXT),
        "Model": _model(),
        "ModelList": page_of("Model"),
        "Health": object_of(status=words("ok", "degraded", "unavailable"), checks=map_of(TEXT)),
        "Liveness": object_of(status=words("ok")),
        "Error": _error(),
        "Problem": _problem(),
        **chats,
        **response_shapes.components(chats),
        **discovery_shapes.components(),
        **key_shapes.components(),
        **usage_shapes.components(),
        **audit_shapes.components(),
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
        "upstream_error": {
            "type": "object",
            "description": "what the provider's own error named of these",
            "properties": {
                name: {"type": ["string", "integer"]} for name in ("type", "code", "param")
            },
        },
    }
    return shape


def _problem() -> Shape:
    shape = object_of(
        type=TEXT, title=TEXT, status=WHOLE, detail=TEXT, instance=TEXT, error=ref("Error")
    )
    shape["description"] = "RFC 9457 problem document."
    return shape
