"""One id a request: the client's own when it is fit to print, else a new one.

The id is in every answer and in every line that is logged meanwhile. The access line is written
here too, because this is the outermost layer: no answer of the application escapes it.
"""

from __future__ import annotations

import logging
import random
import re
import time
from collections.abc import Callable, Iterable
from typing import Any, Final

from services.registry.metrics.figures import Figures
from shared.telemetry import request_id

HEADER: Final = "x-request-id"
# Proxies and Prometheus ask every few seconds: where all is well, that is no news.
POLLED: Final = frozenset(("/health/live", "/health/ready", "/metrics"))
_VALID: Final = re.compile(r"[\x21-\x7e]{1,128}")

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

logger = logging.getLogger(__name__)


def choose(offered: str | None) -> str:
    """The id to use for a request that offers this one."""
    return offered if offered and _VALID.fullmatch(offered) else new()


def new() -> str:
    """A new id. It is no secret, and must cost no system call on the way of every request."""
    return f"req_{random.getrandbits(96):024x}"


class RequestIds:
    """WSGI middleware around the whole application."""

    def __init__(self, application: Application, figures: Figures) -> None:
        self._application = application
        self._figures = figures

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        """Serve one request under its id."""
        chosen = choose(environ.get("HTTP_X_REQUEST_ID"))
        status = "-"

        def start(line: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            nonlocal status
            status = line[:3]
            headers.append((HEADER, chosen))
            return start_response(line, headers, *rest)

        began = time.perf_counter()
        token = request_id.set(chosen)
        try:
            return self._application(environ, start)
        finally:
            seconds = time.perf_counter() - began
            self._figures.answered(environ, status, seconds)
            path = environ["PATH_INFO"]
            logger.log(
                logging.DEBUG if path in POLLED and status == "200" else logging.INFO,
                "request",
                extra={
                    "method": environ["REQUEST_METHOD"],
                    "path": path,
                    "status": int(status) if status.isdecimal() else None,
                    "ms": round(seconds * 1000, 1),
                },
            )
            request_id.reset(token)
