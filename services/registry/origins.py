"""Which names requests may use for us, and whose pages may call the API.

A login never counts for a page of another origin (`sessions`): what is allowed here is to call with
a key. No answer says `Access-Control-Allow-Credentials`.
"""

from __future__ import annotations

from typing import Final

from flask import Flask, Response, request

from services.registry import answers
from services.registry.forwarding import address
from shared.config import Settings
from shared.errors import InvalidValue

API: Final = ("/v1/", "/health/", "/openapi.json")
METRICS: Final = "/metrics"
METHODS: Final = "GET, POST, PATCH, DELETE"
KEPT_SECONDS: Final = "600"
# What scripts of other origins may read beyond the few headers that they always may.
EXPOSED: Final = ", ".join(
    (
        *("ETag", "Idempotent-Replayed", "Link", "Location", "Preference-Applied"),
        *("Retry-After", "x-request-id", "x-should-retry"),
        *(
            f"x-ratelimit-{what}-{of}"
            for of in ("requests", "tokens")
            for what in ("limit", "remaining", "reset")
        ),
    )
)


def register(app: Flask, settings: Settings) -> None:
    """Keep to the settings; where they are empty no request is looked at."""
    app.after_request(_as_it_says)
    if settings.public_hosts:
        _check_hosts(app, frozenset(settings.public_hosts.split(",")))
    if settings.cors_origins:
        _allow_origins(app, frozenset(settings.cors_origins.split(",")))


def _as_it_says(response: Response) -> Response:
    """Let no browser take JSON for a script, whichever page asks for it."""
    response.headers.setdefault("X-Content-Type-Options", "nosniff")
    return response


def _check_hosts(app: Flask, public: frozenset[str]) -> None:
    @app.before_request
    def check_host() -> None:
        """Refuse names that are not ours: a page of another site may give our address its name.

        Prometheus calls each registry by a name inside, which no page could use: a session is good
        for no other site's name, and `/metrics` wants a key or the token.
        """
        if request.path == METRICS:
            return
        name = _name(request.environ.get("HTTP_HOST", ""))
        local = name == "localhost" or name.endswith(".localhost")
        if not (local or name in public or address(name) is not None):
            raise InvalidValue(
                f"Expected a Host that this server has, got {name[:100]!r}. Call it by its own "
                "name, or add this one to DRAGOMAN_PUBLIC_HOSTS.",
                param="Host",
            )


def _name(host: str) -> str:
    """The host of a Host header, without its port; IPv6 addresses without their brackets."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0].rstrip(".").lower()


def _allow_origins(app: Flask, allowed: frozenset[str]) -> None:
    def allows(origin: str | None) -> bool:
        return origin is not None and ("*" in allowed or origin.lower() in allowed)

    @app.before_request
    def preflight() -> Response | None:
        """Answer whether a page may call before it does; such a question carries no key."""
        asks = request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers
        if not (asks and request.path.startswith(API) and allows(request.headers.get("Origin"))):
            return None
        wanted = request.headers.get("Access-Control-Request-Headers", "")
        headers = {
            "Access-Control-Allow-Methods": METHODS,
            "Access-Control-Allow-Headers": wanted[:1000],
            "Access-Control-Max-Age": KEPT_SECONDS,
        }
        return answers.empty(headers={n: value for n, value in headers.items() if value})

    @app.after_request
    def allow(response: Response) -> Response:
        if request.path.startswith(API):
            response.vary.add("Origin")
            origin = request.headers.get("Origin")
            if origin is not None and allows(origin):
                response.headers["Access-Control-Allow-Origin"] = origin
                response.headers["Access-Control-Expose-Headers"] = EXPOSED
        return response
