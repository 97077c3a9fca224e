"""What a request about API keys may hold."""

from __future__ import annotations

from typing import Final

import marshmallow as ma

from services.registry.paging import PageQuery
from services.registry.refusals import shown
from services.registry.schemas import YEAR_2100, Inner, OneOf, Strict, Text, Whole
from shared import ids
from shared.store.access import Role

OWNER: Final = "[a-z0-9][a-z0-9._@-]{0,63}"


def _name(text: str) -> None:
    if not 1 <= len(text.strip()) <= 100 or not text.strip().isprintable():
        raise ma.ValidationError(f"Expected 1 to 100 printable characters, got {shown(text)}.")


def _most(most: int, about: str) -> Whole:
    return Whole(
        1,
        most,
        expected=f"a whole number from 1 to {most}, or null",
        allow_none=True,
        load_default=None,
        metadata={"description": f"{about}; null: no limit"},
    )


class KeyLimits(Strict):
    """What a key may use at most."""

    requests_per_minute = _most(1_000_000, "requests in a minute of the clock, over all processes")
    tokens_per_day = _most(10**15, "tokens in and out in a day of UTC, after which it is refused")


class NewKey(Strict):
    """The body of `POST /v1/keys`."""

    name = Text(required=True, validate=_name, metadata={"example": "Ann's notebook"})
    owner = Text(
        pattern=OWNER,
        expected="1 to 64 of a-z, 0-9, dot, underscore, @ and hyphen, a letter or digit first",
        metadata={
            "description": "whose jobs it sees: all keys of one owner see the same; "
            "default: the slug of the name"
        },
    )
    role = Text(
        load_default=Role.MEMBER.value,
        validate=OneOf([role.value for role in Role]),
        metadata={"description": "`admin` may change everything, `member` chats and reads"},
    )
    expires_at = Whole(
        1,
        YEAR_2100,
        expected="a time in Unix seconds before the year 2100, or null",
        allow_none=True,
        load_default=None,
        metadata={"description": "Unix seconds; null: it does not expire"},
    )
    limits = Inner(
        KeyLimits,
        allow_none=True,
        load_default=None,
        metadata={"description": "left out or null: no limits"},
    )


class KeyQuery(PageQuery):
    """The query of `GET /v1/keys`."""

    after = Text(
        pattern=f"{ids.KEY}[0-9A-Z]{{26}}",
        expected="the id of a key",
        metadata={"description": "the id after which the page begins"},
    )
    owner = Text(metadata={"description": "only keys of this owner"})
