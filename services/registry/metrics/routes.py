"""`/metrics`: for admins, and for whoever brings the token of the metrics."""

from __future__ import annotations

from typing import Final

from flask import Flask, Response, g, request

from services.registry.authentication import require_admin
from services.registry.blueprints import Blueprint
from services.registry.metrics import figures
from services.registry.parts import Parts
from shared.metrics import CONTENT_TYPE
from shared.metrics.exporter import is_token

ROUTE: Final = "/metrics"
_PAGE: Final = {200: {"content": {"text/plain": {"schema": {"type": "string"}}}}}


def register(app: Flask) -> None:
    """Let each request tell its route to `figures`."""

    @app.before_request
    def note_route() -> None:
        if (rule := request.url_rule) is not None:
            request.environ[figures.ROUTE] = rule.rule


def blueprint(parts: Parts) -> Blueprint:
    """The route of the metrics over these parts."""
    routes = Blueprint("metrics", __name__, url_prefix=ROUTE, description="Operations.")

    @routes.get("")
    @routes.doc(responses=_PAGE)
    def show_metrics() -> Response:
        """What this machine's processes counted and what the database knows, for Prometheus.

        For admins' keys, and for `DRAGOMAN_METRICS_TOKEN`, which works while the database is away.
        """
        token = parts.settings.metrics_token
        if token is None or not is_token(request.headers.get("Authorization"), token):
            g.caller = parts.authenticator.caller_of(request)
            require_admin()
        headers = {"Cache-Control": "no-store"}
        return Response(parts.metrics.page(), 200, headers, content_type=CONTENT_TYPE)

    return routes
