"""`/v1/providers/{id}/models`: what one provider lists, and what it listed before."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa
from flask import Response

from services.registry import answers, paging
from services.registry.authentication import current_caller
from services.registry.blueprints import Blueprint
from services.registry.models.documents import model_id
from services.registry.models.resolution import allows
from services.registry.parts import Parts
from services.registry.providers.lookup import find_visible
from services.registry.schemas import OneOf, Text
from services.registry.shapes import ref
from shared.store import catalogue
from shared.store.catalogue import CatalogueModel
from shared.store.providers import Provider

Rows = tuple[Provider, list[dict[str, Any]]]


class CatalogueQuery(paging.PageQuery):
    """The query of `GET /v1/providers/{id}/models`; without `limit` it returns everything."""

    q = Text(metadata={"description": "only models whose id holds this, in either case"})
    source = Text(
        validate=OneOf(("listed", "manual")),
        metadata={"description": "only what the server listed, or what was listed by hand"},
    )
    gone = Text(
        validate=OneOf(("true", "false")),
        load_default="false",
        metadata={"description": "`true`: also models that have vanished"},
    )


def add(routes: Blueprint, parts: Parts) -> None:
    """Add the route to those of providers."""

    @routes.get("/<reference>/models")
    @routes.arguments(CatalogueQuery, location="query")
    @routes.response(200, ref("ProviderModelList"))
    def show_models(query: dict[str, Any], reference: str) -> Response:
        """What the provider lists, with the dates of each model; of a disabled one the last list.

        It is the last good list: `discovery` of the provider says how old it is.
        """
        caller, gone = current_caller(), query["gone"] == "true"

        def find(tx: sa.Connection) -> Rows:
            provider = find_visible(tx, reference, caller)
            return provider, listing(provider, catalogue.models(tx, [provider.id], gone=gone))

        _, rows = parts.transactions.read(find)
        data, has_more = paging.page(
            [row for row in rows if _admits(query, row)],
            lambda row: str(row["id"]),
            limit=query.get("limit"),
            after=query.get("after"),
            order=query["order"],
        )
        headers = paging.link(data, has_more=has_more)
        return answers.json_answer(paging.envelope(data, has_more=has_more), 200, headers)


def listing(provider: Provider, models: Iterable[CatalogueModel]) -> list[dict[str, Any]]:
    """These models as the provider's own page shows them, by id."""
    shown = [
        _document(provider, model)
        for model in models
        if model.gone_at is not None or allows(provider, model.upstream_id)
    ]
    return sorted(shown, key=lambda row: str(row["id"]))


def _document(provider: Provider, model: CatalogueModel) -> dict[str, Any]:
    return {
        "id": model_id(provider, model),
        "object": "provider.model",
        "upstream_id": model.upstream_id,
        "source": model.source,
        "owned_by": model.owned_by,
        "context_length": model.context_length,
        "first_seen": int(model.first_seen),
        "last_seen": int(model.last_seen),
        "gone_at": None if model.gone_at is None else int(model.gone_at),
    }


def _admits(query: dict[str, Any], row: dict[str, Any]) -> bool:
    if query.get("source", row["source"]) != row["source"]:
        return False
    return query.get("q", "").casefold() in row["upstream_id"].casefold()
