"""Traces by OpenTelemetry, where the standard variables ask for them; else nothing is imported.

https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/: an endpoint
(`OTEL_EXPORTER_OTLP_ENDPOINT`), or `OTEL_TRACES_EXPORTER=otlp`, switches them on. Standard library
only: the bootstrap asks `wanted` before anything is installed. docs/operations.md tells the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from importlib.util import find_spec
from typing import Any, Final, TypeVar

from shared.errors import ConfigurationError

_ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")

Ended = Callable[[str], None]
T = TypeVar("T")


class Tracing:
    """Traces that nobody wanted: every method does nothing."""

    def calls(self, transport: T) -> T:
        """The httpx transport given, with a span for each of its calls."""
        return transport

    def serve(self, app: Any) -> None:
        """Have a span for each request that this Flask application serves."""

    def accepted(self, job_id: str) -> None:
        """Lead from the request being served to the trace of this job (a bare ULID)."""

    def attempt(self, job_id: str, **attributes: str | int | None) -> AbstractContextManager[Ended]:
        """A span around one attempt at this job; call what it gives with how that ended."""
        return nullcontext(_unheard)

    def stop(self) -> None:
        """Send what waits, for a few seconds at most."""


def wanted(environ: Mapping[str, str]) -> bool:
    """Whether this environment asks for traces."""
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    exporters = environ.get("OTEL_TRACES_EXPORTER", "").strip()
    if exporters:
        return "otlp" in (word.strip() for word in exporters.split(","))
    return any(environ.get(name, "").strip() for name in _ENDPOINTS)


def check(environ: Mapping[str, str]) -> None:
    """Raise ConfigurationError where traces are asked for that cannot be had."""
    if not wanted(environ):
        return
    if find_spec("opentelemetry") is None:
        raise ConfigurationError(
            [
                "OTEL_*: expected the packages of requirements/otel.lock for traces, got none. "
                "`./dragoman up` installs them; OTEL_SDK_DISABLED=true does without."
            ]
        )
    protocol = environ.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "").strip()
    protocol = protocol or environ.get("OTEL_EXPORTER_OTLP_PROTOCOL", "").strip()
    if protocol not in ("", "http/protobuf"):
        raise ConfigurationError(
            [f'OTEL_EXPORTER_OTLP_PROTOCOL: expected http/protobuf, got "{protocol}"']
        )


def start(environ: Mapping[str, str], service: str) -> Tracing:
    """The traces of this process; call it after a fork, once. `check` was called before."""
    if not wanted(environ):
        return Tracing()
    from shared.tracing._otel import OpenTelemetry

    # The SDK's own detector reads OTEL_SERVICE_NAME, and what is given in code would win.
    named = "OTEL_SERVICE_NAME" in environ
    return OpenTelemetry(None if named else f"dragoman-{service}")


def _unheard(_outcome: str) -> None:
    """Nobody wanted to know."""
