"""What a query about usage may hold."""

from __future__ import annotations

from typing import Any, Final

import marshmallow as ma
from marshmallow import fields

from services.registry.schemas import Strict

GROUPS: Final = {
    "provider": "provider_id",
    "model": "model",
    "key": "key_id",
    "owner": "owner",
    "day": "day",
}


class Groups(fields.Field[Any]):
    """One or more of the names of `GROUPS`, between commas."""

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> list[str]:
        names = [name.strip() for name in str(value).split(",")]
        wrong = [name for name in names if name not in GROUPS]
        if wrong or len(set(names)) != len(names):
            expected = ", ".join(GROUPS)
            raise ma.ValidationError(
                f"Expected some of {expected}, between commas and each once, got {value[:100]!r}."
            )
        return names


def _time(name: str) -> fields.Integer:
    return fields.Integer(
        data_key=name,
        validate=ma.validate.Range(0, 4_102_444_800, error="Expected a time in Unix seconds."),
        error_messages={"invalid": "Expected a time in Unix seconds."},
        metadata={"description": "Unix seconds; whole hours are shown"},
    )


class UsageQuery(Strict):
    """The query of `GET /v1/usage`; without times the last 30 days."""

    since = _time("from")
    until = _time("to")
    group_by = Groups(
        load_default=["provider"],
        metadata={
            "type": "string",
            "description": "some of provider, model, key, owner and day, between commas",
        },
    )
