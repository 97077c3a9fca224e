"""`POST /v1/providers/resolve`: where an endpoint leads, before it is saved."""

from __future__ import annotations

from typing import Any

from flask import Response

from services.registry import answers
from services.registry.authentication import require_admin
from services.registry.blueprints import Blueprint
from services.registry.parts import Parts
from services.registry.providers import endpoints
from services.registry.schemas import Strict, Text
from services.registry.shapes import ref


class TypedEndpoint(Strict):
    """An endpoint in any spelling."""

    endpoint = Text(required=True)


def add(routes: Blueprint, parts: Parts) -> None:
    """Add the route to those of providers."""

    @routes.post("/resolve")
    @routes.arguments(TypedEndpoint)
    @routes.response(200, ref("ResolvedEndpoint"))
    def resolve(body: dict[str, Any]) -> Response:
        """The URLs that an endpoint stands for. Nothing is called, and no name is looked up."""
        require_admin()
        found = endpoints.located(body["endpoint"], parts.policy)
        shown = {"chat_url": found.chat_url, "models_url": found.models_url}
        return answers.json_answer({"object": "endpoint", **shown})
