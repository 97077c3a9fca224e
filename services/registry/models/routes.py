"""`/v1/models`."""

from __future__ import annotations

from typing import Any

from flask import Response

from services.registry import answers, paging
from services.registry.authentication import current_caller
from services.registry.blueprints import Blueprint, guarded
from services.registry.models import nearest
from services.registry.models.service import Models, Wanted
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
    routes = guarded(parts, "models", ROUTE, "What all providers offer.")
    models = Models(parts.transactions)
    nearest.add(routes, parts)

    @routes.get("")
    @routes.arguments(ModelQuery, location="query")
    @routes.response(200, ref("ModelList"))
    def show_all(query: dict[str, Any]) -> Response:
        """List the models of all visible providers."""
        caller, wanted = current_caller(), Wanted(query.get("provider"), query.get("tag"))
        after, descending = query.get("after"), query["order"] == "desc"
        if "limit" in query:
            data, has_more = models.page(
                caller, wanted, after=after, descending=descending, limit=query["limit"]
            )
        else:
            data, has_more = paging.page(
                models.list(caller, wanted),
                lambda entry: str(entry["id"]),
                limit=None,
                after=after,
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
