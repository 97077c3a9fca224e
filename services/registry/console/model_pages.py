"""`/models`: what all visible providers list, searchable, with ids to copy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import sqlalchemy as sa
from flask import Blueprint, Response

from services.registry.authentication import current_caller
from services.registry.console import offered, queries
from services.registry.console.pages import Console, is_fragment
from services.registry.models.routes import ModelQuery
from services.registry.models.service import Models, Wanted
from services.registry.parts import Parts
from services.registry.schemas import Text
from shared.domain import DiscoveryStatus
from shared.store import catalogue
from shared.store.catalogue import CatalogueModel
from shared.store.providers import Provider

ROUTE: Final = "/models"
PAGE: Final = 100  # models
_FRESH: Final = (DiscoveryStatus.OK, DiscoveryStatus.NO_MODELS_ROUTE, DiscoveryStatus.PENDING)


class PageQuery(ModelQuery):
    """The query of the page: that of `GET /v1/models`, and a search."""

    q = Text()


def add(routes: Blueprint, console: Console) -> None:
    """Add the route to those of the console."""
    parts = console.parts
    models = Models(parts.transactions)

    @routes.get(ROUTE)
    @console.signed_in
    def show_models() -> Response:
        """All that the caller may use, by id."""
        asked, caller = queries.asked(PageQuery), current_caller()
        wanted = Wanted(asked.get("provider"), asked.get("tag"), asked.get("q"))
        after, limit = asked.get("after"), asked.get("limit", PAGE)
        found, has_more = models.page(caller, wanted, after=after, descending=False, limit=limit)
        seen: Sequence[Provider] | None = ()
        if not is_fragment():
            seen = parts.transactions.read(lambda tx: offered.visible(tx, caller))
        enabled = None if seen is None else [row for row in seen if row.enabled]
        rows = _rows(parts, found)
        return console.render(
            "models/list.html",
            models=rows,
            has_stale=any(row["stale"] for row in rows),
            asked={"q": wanted.q or "", "provider": wanted.provider, "tag": wanted.tag},
            providers=enabled,
            tags=offered.tags(enabled),
            first=queries.here(after=None) if after else None,
            following=queries.here(after=str(found[-1]["id"])) if has_more else None,
        )


def _rows(parts: Parts, models: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """These models with the age of the list that they come from."""
    ids = {str(model["provider"]["id"]) for model in models}
    named = {_upstream_id(model) for model in models}

    def find(tx: sa.Connection) -> dict[tuple[str, str], CatalogueModel]:
        found = catalogue.models(tx, ids, upstream_ids=named)
        return {(row.provider_id, row.upstream_id): row for row in found}

    known = parts.transactions.read(find)
    rows = []
    for model in models:
        shown = model["provider"]
        row = known.get((shown["id"], _upstream_id(model)))
        if row is None:  # it has vanished since the page was read
            continue
        manual = row.source == "manual"
        rows.append(
            {
                **model,
                "provider": {**shown, "slug": model["owned_by"]},
                "manual": manual,
                "listed_at": row.last_seen,
                "stale": not manual and DiscoveryStatus(shown["status"]) not in _FRESH,
            }
        )
    return rows


def _upstream_id(model: dict[str, Any]) -> str:
    return str(model["id"]).partition("/")[2]
