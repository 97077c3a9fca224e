"""The shapes of what discovery found: models of a provider, checks, events."""

from __future__ import annotations

from services.registry.shaping import (
    TEXT,
    TIME,
    WHOLE,
    Shape,
    list_of,
    object_of,
    or_null,
    page_of,
    ref,
    words,
)
from shared.domain import EventType


def components() -> dict[str, Shape]:
    """Name → schema of everything that is answered about discovery."""
    return {
        "ProviderModel": _model(),
        "ProviderModelList": page_of("ProviderModel"),
        "RefreshedList": _refreshed(),
        "ProviderCheck": _check(),
        "Event": _event(),
        "EventList": page_of("Event"),
        "EventFeed": _feed(),
    }


def _model() -> Shape:
    return object_of(
        id={**TEXT, "description": "as chats name it: provider's slug, a slash, the upstream's id"},
        object=words("provider.model"),
        upstream_id=TEXT,
        source={**words("listed", "manual"), "description": "by the server, or by hand"},
        owned_by={**or_null(TEXT), "description": "as the server says"},
        context_length={**or_null(WHOLE), "description": "in tokens"},
        first_seen=TIME,
        last_seen=TIME,
        gone_at={**or_null(TIME), "description": "when it was missed; null while it is listed"},
    )


def _refreshed() -> Shape:
    shape = page_of("ProviderModel")
    shape["required"].append("provider")
    shape["properties"]["provider"] = ref("Provider")
    shape["description"] = "What the check found; when it failed, the last good list."
    return shape


def _check() -> Shape:
    step = object_of(
        name=words("resolve", "connect", "tls", "models", "authenticate", "chat"),
        verdict=words("ok", "failed", "skipped"),
        ms=or_null(WHOLE),
        message=TEXT,
        remedy={**or_null(TEXT), "description": "of a step that failed: what to do"},
    )
    return object_of(
        id=TEXT,
        object=words("provider.check"),
        status=words("running", "done"),
        steps={**list_of(step), "description": "those that are done so far, in order"},
        endpoint={**or_null(TEXT), "description": "the endpoint to save"},
        models=list_of(object_of(id=TEXT, context_length=or_null(WHOLE))),
    )


def _event() -> Shape:
    return object_of(
        id=TEXT,
        object=words("event"),
        seq={**WHOLE, "description": "its number; all events together have no gaps"},
        type=words(*(type_.value for type_ in EventType)),
        provider={**TEXT, "description": "the provider's id; it may be deleted by now"},
        revision={**WHOLE, "description": "of the provider, when it happened"},
        created_at=TIME,
        detail={"type": ["object", "null"], "description": "what changed; never a secret"},
    )


def _feed() -> Shape:
    shape = page_of("Event")
    shape["required"].append("last_seq")
    shape["properties"]["last_seq"] = {**WHOLE, "description": "go on with `after` = this number"}
    return shape
