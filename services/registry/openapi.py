"""The OpenAPI document, from the same schemas that validate."""

from __future__ import annotations

from typing import Any

import flask
import flask_smorest


class Api(flask_smorest.Api):
    """flask-smorest's collector of routes; errors are `problems`' business."""

    def __init__(self, app: flask.Flask) -> None:
        options: dict[str, Any] = {"title": "Dragoman", "version": "v1"}
        super().__init__(app, spec_kwargs={**options, "openapi_version": "3.1.0"})

    def _register_error_handlers(self) -> None:
        """None: `problems.register` does."""


def register(app: flask.Flask, api: Api) -> None:
    """Add `/openapi.json` and `/docs`."""
