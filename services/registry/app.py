"""The Flask application over the parts of one process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Flask

from services.registry import health, json_bodies, openapi, origins, problems
from services.registry.audit import routes as audit
from services.registry.chat import routes as chat
from services.registry.checks import routes as checks
from services.registry.console import routes as console
from services.registry.events import routes as events
from services.registry.forwarding import Forwarded
from services.registry.keys import me
from services.registry.keys import routes as keys
from services.registry.metrics import routes as metrics
from services.registry.models import routes as models
from services.registry.parts import Parts
from services.registry.providers import catalogue, refreshing, resolving
from services.registry.providers import routes as providers
from services.registry.request_ids import Application, RequestIds
from services.registry.responses import routes as responses
from services.registry.usage import routes as usage


class _Plain(Flask):
    """Flask for views that are plain functions: asking whether they are took 40 µs a request."""

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """The function as it is."""
        return func


def create_app(parts: Parts) -> Flask:
    """The application; it serves requests as soon as a server calls it."""
    app = _Plain("dragoman", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = json_bodies.MAX_BYTES
    app.url_map.merge_slashes = False  # model ids may hold `//`
    metrics.register(app)
    api = openapi.Api(app)
    below_providers = providers.blueprint(parts)
    for feature in (catalogue, refreshing, resolving, checks, events):
        feature.add(below_providers, parts)
    api.register_blueprint(below_providers)
    for feature in (models, chat, responses, events, keys, me, usage, audit, health, metrics):
        api.register_blueprint(feature.blueprint(parts))
    app.register_blueprint(console.blueprint(parts))
    openapi.register(app, api)
    origins.register(app, parts.settings)
    problems.register(app)
    parts.tracing.serve(app)
    if parts.settings.trusted_proxies:
        app.wsgi_app = Forwarded(app.wsgi_app, parts.settings.trusted_proxies)  # type: ignore[method-assign] # Flask's documented way
    return app


def serve(parts: Parts) -> Application:
    """The application with its ids and its log, ready for a server."""
    return RequestIds(create_app(parts), parts.figures)
