"""`/v1/keys`: for admins."""

from __future__ import annotations

from typing import Any, Final

from flask import Response

from services.registry import answers, paging, trail
from services.registry.authentication import require_admin
from services.registry.blueprints import Blueprint, guarded
from services.registry.keys.documents import document
from services.registry.keys.schemas import KeyQuery, NewKey
from services.registry.keys.service import Keys
from services.registry.parts import Parts
from services.registry.shapes import ref

ROUTE: Final = "/v1/keys"


def blueprint(parts: Parts) -> Blueprint:
    """The routes of API keys over these parts."""
    routes = guarded(parts, "keys", ROUTE, "Who may call, and as what.")
    keys = Keys(parts)

    @routes.post("")
    @routes.arguments(NewKey)
    @routes.response(201, ref("NewApiKey"))
    def create(body: dict[str, Any]) -> Response:
        """Make a key. Its secret is in this answer, and never again."""
        require_admin()
        key, secret = keys.create(body, trail.actor())
        headers = {"Location": f"{ROUTE}/{key.id}", "Cache-Control": "no-store"}
        return answers.json_answer(document(key, secret), 201, headers)

    @routes.get("")
    @routes.arguments(KeyQuery, location="query")
    @routes.response(200, ref("ApiKeyList"))
    def show_all(query: dict[str, Any]) -> Response:
        """List the keys, revoked ones included."""
        require_admin()
        found, has_more = paging.page(
            keys.list(query.get("owner")),
            lambda key: key.id,
            limit=query.get("limit", paging.USUAL),
            after=query.get("after"),
            order=query["order"],
        )
        data = [document(key) for key in found]
        headers = paging.link(data, has_more=has_more)
        return answers.json_answer(paging.envelope(data, has_more=has_more), 200, headers)

    @routes.get("/<key_id>")
    @routes.response(200, ref("ApiKey"))
    def show(key_id: str) -> Response:
        """One key, without its secret."""
        require_admin()
        return answers.json_answer(document(keys.get(key_id)))

    @routes.delete("/<key_id>")
    @routes.response(204)
    def revoke(key_id: str) -> Response:
        """End a key; other registry processes follow within two seconds. Its jobs stay."""
        require_admin()
        keys.revoke(key_id, trail.actor())
        return answers.empty()

    return routes
