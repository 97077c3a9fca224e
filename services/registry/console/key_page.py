"""`/keys`: who may call, and as what."""

from __future__ import annotations

from typing import Any, Final

from flask import Blueprint, Response
from marshmallow import fields, validate

from services.registry import paging
from services.registry.authentication import current_caller
from services.registry.console import figures, queries
from services.registry.console.pages import Console
from services.registry.keys.documents import document
from services.registry.keys.schemas import OWNER
from services.registry.keys.service import Keys
from services.registry.schemas import OneOf, Strict, Text
from shared import ids
from shared.store.access import Key

PAGE: Final = 50  # keys
STATES: Final = ("living", "expired", "revoked")


class KeyPageQuery(Strict):
    """The query of `/keys`."""

    after = Text(load_default=None, pattern=f"{ids.KEY}[0-9A-Z]{{26}}", expected="the id of a key")
    limit = fields.Integer(validate=validate.Range(1, paging.MOST), load_default=PAGE)
    owner = Text(load_default=None, pattern=OWNER, expected="an owner")
    state = Text(load_default=None, validate=OneOf(STATES))


def add(routes: Blueprint, console: Console) -> None:
    """Add the route to those of the console."""
    parts = console.parts
    keys = Keys(parts)
    figures.install(console.templates)

    @routes.get("/keys")
    @console.admins_only
    def show_keys() -> Response:
        """All keys that were ever made, newest first."""
        asked, now = queries.asked(KeyPageQuery), parts.now()
        found = [_shown(key, now) for key in keys.list(asked["owner"])]
        if asked["state"] is not None:
            found = [key for key in found if key["state"] == asked["state"]]
        shown, has_more = paging.page(
            found, _id, limit=asked["limit"], after=asked["after"], order="desc"
        )
        return console.render(
            "keys.html",
            keys=shown,
            mine=current_caller().key_id,
            asked=asked,
            states=STATES,
            first=queries.here(after=None) if asked["after"] else None,
            following=queries.here(after=shown[-1]["id"]) if has_more else None,
        )


def _shown(key: Key, now: float) -> dict[str, Any]:
    state = "living"
    if key.revoked_at is not None:
        state = "revoked"
    elif key.expires_at is not None and key.expires_at <= now:
        state = "expired"
    return {**document(key), "state": state}


def _id(key: dict[str, Any]) -> str:
    return str(key["id"])
