"""`/v1/me`: who is asking."""

from __future__ import annotations

from typing import Final

from flask import Response

from services.registry import answers
from services.registry.authentication import current_caller
from services.registry.blueprints import Blueprint, guarded
from services.registry.keys.documents import caller
from services.registry.parts import Parts
from services.registry.shapes import ref

ROUTE: Final = "/v1/me"


def blueprint(parts: Parts) -> Blueprint:
    """The route of the caller over these parts."""
    routes = guarded(parts, "me", ROUTE, "Who is asking.")

    @routes.get("")
    @routes.response(200, ref("Caller"))
    def show_me() -> Response:
        """The key that signed this request, or that its session stands for: role and limits."""
        headers = {"Cache-Control": "no-store"}
        return answers.json_answer(caller(current_caller()), 200, headers)

    return routes
