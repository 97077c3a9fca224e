"""The OpenAPI document, from the same schemas that validate, and the page that shows it."""

from __future__ import annotations

import functools
from typing import Any, Final

import flask
import flask_smorest
import msgspec
from flask import Response

from services.registry import problems, sessions, shapes
from services.registry.chat import request as chat
from services.registry.openapi import additions, examples, headers, operation_ids, reference
from services.registry.responses import request as responses

ABOUT: Final = (
    "A registry of OpenAI-compatible inference endpoints, with durable chat completions. "
    "The chat completion is the job: its id is the id to ask for."
)

SCHEMES: Final = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": sessions.COOKIE,
        "description": "The console's login, for its own pages. Whatever changes something needs "
        f"the header `{sessions.HEADER}`, too.",
    },
}


class Api(flask_smorest.Api):  # type: ignore[misc] # flask-smorest has no types
    """flask-smorest's collector of routes; errors are `problems`' business."""

    DEFAULT_ERROR_RESPONSE_NAME = "PROBLEM"

    def __init__(self, app: flask.Flask) -> None:
        options: dict[str, Any] = {
            "title": "Dragoman",
            "version": "v1",
            "openapi_version": "3.1.0",
            "info": {"description": ABOUT},
            "security": [{"bearer": []}, {"session": []}],
            "servers": [{"url": "/"}],  # wherever the document came from
        }
        super().__init__(app, spec_kwargs=options)
        for name, scheme in SCHEMES.items():
            self.spec.components.security_scheme(name, scheme)
        bodies = responses.json_schema() | chat.json_schema()
        for name, shape in (shapes.components() | bodies).items():
            self.spec.components.schema(name, shape)

    def _register_error_handlers(self) -> None:
        """None: `problems.register` does."""

    def _register_responses(self) -> None:
        """One error answer: of every route, and of arguments that do not fit."""
        problem = {
            "description": "An error; `error.code` says which.",
            "content": {problems.CONTENT_TYPE: {"schema": shapes.ref("Problem")}},
        }
        for name in (self.DEFAULT_ERROR_RESPONSE_NAME, "BAD_REQUEST"):
            self.spec.components.response(name, problem, lazy=True)

    def _register_etag_headers(self) -> None:
        """None: our own validators are documented where they are answered."""

    def _register_pagination_header(self) -> None:
        """None: our lists page by cursor (`paging`)."""


def register(app: flask.Flask, api: Api) -> None:
    """Add `/openapi.json` and `/docs`; neither needs a key."""

    @functools.cache
    def document() -> dict[str, Any]:
        described: dict[str, Any] = api.spec.to_dict()
        operation_ids.describe(described)
        additions.describe(described)
        headers.describe(described)
        examples.describe(described)
        return described

    @functools.cache
    def page() -> reference.Page:
        return reference.render(document())

    @app.get("/openapi.json")
    def openapi_json() -> Response:
        return Response(msgspec.json.encode(document()), content_type="application/json")

    @app.get("/docs")
    def docs() -> Response:
        headers = {"Content-Security-Policy": page().policy}
        return Response(page().html, headers=headers, content_type="text/html; charset=utf-8")
