"""The shapes of API keys, as JSON Schema for the OpenAPI document."""

from __future__ import annotations

from services.registry.shaping import TEXT, TIME, Shape, object_of, or_null, page_of, words
from shared.store.access import Role


def components() -> dict[str, Shape]:
    """Name → schema of everything that the routes of keys answer."""
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
    )
    made = {**key, "required": [*key["required"], "key"]}
    made["properties"] = {
        **key["properties"],
        "key": {**TEXT, "description": "the secret: shown in this answer, and never again"},
    }
    return {"ApiKey": key, "ApiKeyList": page_of("ApiKey"), "NewApiKey": made}
