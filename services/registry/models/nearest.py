"""What is offered where a model is unknown: the nearest ids that its caller may use.

Only a refusal looks for them, after its own transaction, and within bounds: they are a courtesy.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Final

import sqlalchemy as sa
from flask import Blueprint, Response

from services.registry import problems
from services.registry.authentication import current_caller
from services.registry.models.resolution import UnknownModel, allows
from services.registry.parts import Parts
from services.registry.providers import slugs
from shared.errors import ModelNotFound
from shared.store import catalogue, providers
from shared.store.access import Caller
from shared.store.providers import Provider

MOST: Final = 3  # that are named
LOOKED_AT: Final = 200
LIKE_ENOUGH: Final = 0.4  # difflib's ratio
_WORDS: Final = re.compile("[a-z]{3,}[0-9]*")


def add(routes: Blueprint, parts: Parts) -> None:
    """Have every refusal of an unknown model, on whatever route, say what is near it."""

    @routes.app_errorhandler(UnknownModel)
    def refused(error: UnknownModel) -> Response:
        caller = current_caller()
        found = parts.transactions.read(lambda tx: nearest(tx, error.wanted, caller))
        if not found:
            return problems.of_error(error)
        message = f"{error.message} Nearest: {', '.join(found)}."
        return problems.of_error(ModelNotFound(message, param=error.param))


def nearest(tx: sa.Connection, wanted: str, caller: Caller) -> Sequence[str]:
    """Up to three listed ids like this one, the likest first, or this one of other providers."""
    slug, slash, rest = wanted.partition("/")
    words = _WORDS.findall((rest or wanted).casefold())
    listed = catalogue.holding(tx, max(words, key=len), most=LOOKED_AT) if words else ()
    usable = _usable(tx, {provider_id for provider_id, _ in listed}, caller)
    names: dict[str, str] = {}  # what an id may have been meant by → the id
    for provider_id, upstream_id in listed:
        provider = usable.get(provider_id)
        if provider is not None and allows(provider, upstream_id):
            model = f"{provider.slug}/{upstream_id}"
            names |= {upstream_id.casefold(): model, model.casefold(): model}
    like = get_close_matches(wanted.casefold(), names, 2 * MOST, LIKE_ENOUGH)
    found = list(dict.fromkeys(names[one] for one in like))[:MOST]
    if found or not (slash and rest and slugs.is_slug(slug)):
        return found
    begun = providers.beginning(tx, slug[:2], most=LOOKED_AT)
    # A provider that there is may just not list this model: its own slug would say nothing.
    near = [
        row.slug
        for row in _usable(tx, begun, caller).values()
        if row.slug != slug and allows(row, rest)
    ]
    return [f"{one}/{rest}" for one in get_close_matches(slug, near, MOST)]


def _usable(tx: sa.Connection, ids: set[str], caller: Caller) -> dict[str, Provider]:
    """The enabled providers among these that the caller may see."""
    return {
        row.id: row
        for row in providers.living(tx, ids)
        if row.enabled and row.visible_to(caller.owner, admin=caller.is_admin)
    }
