"""The shapes of usage, as JSON Schema for the OpenAPI document."""

from __future__ import annotations

from services.registry.shaping import (
    FLAG,
    TEXT,
    TIME,
    WHOLE,
    Shape,
    list_of,
    object_of,
    or_null,
    words,
)
from services.registry.usage.documents import PERCENTILES
from services.registry.usage.schemas import GROUPS
from shared.store.usage import COUNTS


def components() -> dict[str, Shape]:
    """Name → schema of what `/v1/usage` answers."""
    seconds = or_null({"type": "number"})
    sums = object_of(
        **dict.fromkeys(COUNTS, WHOLE),
        total_tokens=WHOLE,
        latency_seconds=object_of(**dict.fromkeys(PERCENTILES, seconds)),
    )
    named = object_of(id=TEXT)
    entry = {**sums, "properties": {**sums["properties"], "provider": named, "key": named}}
    entry["properties"] |= {name: TEXT for name in GROUPS if name not in entry["properties"]}
    return {
        "Usage": {
            **object_of(
                object=words("usage"),
                **{"from": TIME, "to": TIME},
                group_by=list_of(words(*GROUPS)),
                data=list_of(entry),
                has_more=FLAG,
                next=or_null(TEXT),
                total=sums,
            ),
            "description": "Tokens that the provider did not report are no zero: such requests, "
            "and calls that were cancelled before it did, are counted by `unknown_usage`.",
        }
    }
