"""`/v1/models`."""

from __future__ import annotations

from typing import Any

from flask import Response

from services.registry import answers, paging
from services.registry.authentication import current_caller
from services.registry.blueprints import Blueprint, guarded
from services.registry.models.service import Models
from services.registry.parts import Parts
from services.registry.schemas import Text
from services.registry.shapes import ref

ROUTE = "/v1/models"


class ModelQuery(paging.PageQuery):
    """The query of `GET /v1/models`; without `limit` it returns everything."""

    provider = Text(metadata={"description": "only models of this provider (id or slug)"})
    tag = Text(metadata={"description": "only models of providers with this tag"})


def blueprint(parts: Parts) -> Blueprint:
    """The routes of models over these parts."""
    routes = guarded(parts.authenticator, "models", ROUTE, "What all providers offer.")
    models = Models(parts.transactions)

    @routes.get("")
    @routes.arguments(ModelQuery, location="query")
    @routes.response(200, ref("ModelList"))
    def show_all(query: dict[str, Any]) -> Response:
        """List the models of all visible providers."""
        found = models.list(current_caller(), provider=query.get("provider"), tag=query.get("tag"))
        data, has_more = paging.page(
            found,
            lambda entry: str(entry["id"]),
            limit=query.get("limit"),
            after=query.get("after"),
            order=query["order"],
        )
        headers = paging.link(data, has_more=has_more)
        return answers.json_answer(paging.envelope(data, has_more=has_more), 200, headers)

    # Ids hold `/` and `:`. SDKs send `%2F`, which reaches us decoded: both forms are one.
    @routes.get("/<path:model>")
    @routes.response(200, ref("Model"))
    def show(model: str) -> Response:
        """One model, by the id that chats use."""
        return answers.json_answer(models.get(model, current_caller()))

    return routes
