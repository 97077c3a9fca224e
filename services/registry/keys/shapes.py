"""The shapes of API keys, as JSON Schema for the OpenAPI document."""

from __future__ import annotations

from services.registry.shaping import TEXT, TIME, WHOLE, Shape, object_of, or_null, page_of, words
from shared.store.access import Role


def components() -> dict[str, Shape]:
    """Name → schema of everything that the routes of keys answer."""
    none = "null: no limit"
    limits = object_of(
        requests_per_minute={**or_null(WHOLE), "description": none},
        tokens_per_day={**or_null(WHOLE), "description": none},
    )
    key = object_of(
        id=TEXT,
        object=words("api_key"),
        name=TEXT,
        owner=TEXT,
        role=words(*(role.value for role in Role)),
        prefix={**TEXT, "description": "how the secret begins"},
        created_at=TIME,
        expires_at=or_null(TIME),
        revoked_at=or_null(TIME),
        last_used_at={**or_null(TIME), "description": "to the minute"},
        limits=limits,
    )
    caller = object_of(
        object=words("caller"),
        key_id=TEXT,
        name=TEXT,
        owner=TEXT,
        role=words(*(role.value for role in Role)),
        expires_at=or_null(TIME),
        session_expires_at={
            **or_null(TIME),
            "description": "of a session of the console; null: a key signed the request",
        },
        limits=limits,
    )
    made = {**key, "required": [*key["required"], "key"]}
    made["properties"] = {
        **key["properties"],
        "key": {**TEXT, "description": "the secret: shown in this answer, and never again"},
    }
    return {
        "ApiKey": key,
        "ApiKeyList": page_of("ApiKey"),
        "NewApiKey": made,
        "Caller": caller,
    }
