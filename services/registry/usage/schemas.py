"""What a query about usage may hold."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any, Final

import marshmallow as ma
import msgspec
from marshmallow import fields

from services.registry.refusals import shown
from services.registry.schemas import Moment, Strict, Text, Whole
from shared.errors import InvalidValue

MOST: Final = 1_000  # groups of one answer

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

    def _serialize(self, value: Any, *_: Any, **__: Any) -> str:
        """As a query has it; the description shows the default so."""
        return ",".join(value)


def _time(name: str) -> Moment:
    return Moment(data_key=name, metadata={"description": "Unix seconds; whole hours are shown"})


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
    limit = Whole(
        1,
        MOST,
        in_query=True,
        load_default=MOST,
        metadata={"description": "how many groups to return"},
    )
    after = Text(metadata={"description": "`next` of the page before"})


def cursor_of(row: Mapping[str, Any], group_by: Sequence[str]) -> str:
    """The place of a row among its groups, as `after` takes it."""
    values = [row[GROUPS[name]] for name in group_by]
    return base64.urlsafe_b64encode(msgspec.json.encode(values)).decode().rstrip("=")


def place_of(cursor: str, group_by: Sequence[str]) -> Sequence[Any]:
    """The values that a cursor holds; raises InvalidValue for what is none of these groups'."""
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        values = msgspec.json.decode(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (ValueError, msgspec.MsgspecError):
        values = None
    expected = [int if name == "day" else str for name in group_by]
    if not isinstance(values, list) or [type(value) for value in values] != expected:
        raise InvalidValue(
            "after: Expected `next` of the page before, asked with the same `group_by`, "
            f"got {shown(cursor)}.",
            param="after",
        )
    return values
