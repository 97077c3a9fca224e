"""OpenTelemetry itself, by its own SDK and instrumentation packages.

The trace of a job is its id: a ULID has the 128 bits of a trace id. So attempts of one job, in
whatever process and however much later, share a trace that is found from the job alone, and no
context has to be stored with the job. The span of the request that submitted it links there.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final, TypeVar, cast
from urllib.parse import urlsplit

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.httpx import AsyncOpenTelemetryTransport, RequestInfo
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

from shared import ids
from shared.telemetry import request_id
from shared.tracing import Ended, Tracing

FLUSH_SECONDS: Final = 2.0
# Probes and scrapes would be most of what there is.
_NOT_TRACED: Final = "/health/,/metrics,/console/static/"
# In the older and the newer semantic conventions (OTEL_SEMCONV_STABILITY_OPT_IN).
_OF_URLS: Final = frozenset({"http.target", "http.url", "url.full"})
_SPAN_BITS: Final = (1 << 64) - 1

T = TypeVar("T")

_next_trace: ContextVar[int | None] = ContextVar("next_trace", default=None)


class _Ids(RandomIdGenerator):
    """Random ids, but for the traces of jobs."""

    def generate_trace_id(self) -> int:
        return _next_trace.get() or super().generate_trace_id()


class OpenTelemetry(Tracing):
    """Traces as the OTEL_* variables want them; `service` is a name where those have none."""

    def __init__(self, service: str | None) -> None:
        about = {"service.name": service} if service else {}
        self._provider = TracerProvider(
            resource=Resource.create(about),
            id_generator=_Ids(),
            # Exceptions would be events, and tell what a hostile server said: our key, maybe.
            span_limits=SpanLimits(max_events=0),
            shutdown_on_exit=False,
        )
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("dragoman")

    def calls(self, transport: T) -> T:
        traced = AsyncOpenTelemetryTransport(
            transport,  # type: ignore[arg-type] # httpx's, which the base class must not load
            tracer_provider=self._provider,
            request_hook=_show_origin,
        )
        return cast("T", traced)

    def serve(self, app: Any) -> None:
        from opentelemetry.instrumentation.flask import FlaskInstrumentor

        FlaskInstrumentor().instrument_app(  # type: ignore[no-untyped-call] # its package is
            app,
            tracer_provider=self._provider,
            response_hook=_complete,  # what the other hook sets is overwritten
            excluded_urls=_NOT_TRACED,
        )

    def accepted(self, job_id: str) -> None:
        span = trace.get_current_span()
        if span.is_recording():
            number = ids.number(job_id)
            span.set_attribute("dragoman.job_id", job_id)
            sampled = TraceFlags(TraceFlags.SAMPLED)
            # None of its spans is known yet, and a link needs the number of one.
            span.add_link(SpanContext(number, number & _SPAN_BITS, True, sampled))

    @contextmanager
    def attempt(self, job_id: str, **attributes: str | int | None) -> Iterator[Ended]:
        told = {f"dragoman.{k}": value for k, value in attributes.items() if value is not None}
        token = _next_trace.set(ids.number(job_id))
        try:
            span = self._tracer.start_span(
                "attempt",
                context=Context(),  # a root: whatever surrounds it is no request's
                kind=SpanKind.CONSUMER,
                attributes={"dragoman.job_id": job_id, **told},
            )
        finally:
            _next_trace.reset(token)

        def ended(outcome: str) -> None:
            span.set_attribute("dragoman.outcome", outcome)
            if outcome != "completed":
                span.set_status(Status(StatusCode.ERROR, outcome))

        with trace.use_span(span, end_on_exit=True):
            yield ended

    def stop(self) -> None:
        # The SDK's own waits 30 s for a collector that is away, and cannot be told otherwise.
        last = threading.Thread(target=self._provider.shutdown, name="traces", daemon=True)
        last.start()
        last.join(FLUSH_SECONDS)


def _complete(span: trace.Span, *_answer: object) -> None:
    """Give a request's span its id, and take its query, which people mistake for a safe place."""
    if not isinstance(span, ReadableSpan) or not span.is_recording():
        return
    if (chosen := request_id.get()) is not None:
        span.set_attribute("dragoman.request_id", chosen)
    for name in _OF_URLS & (span.attributes or {}).keys():
        span.set_attribute(name, str((span.attributes or {})[name]).partition("?")[0])
    if "url.query" in (span.attributes or {}):
        span.set_attribute("url.query", "")


async def _show_origin(span: trace.Span, request: RequestInfo) -> None:
    """Leave of a URL where the call went: the path of a webhook is its receiver's secret."""
    scheme, host, *_ = urlsplit(str(request.url))
    if isinstance(span, ReadableSpan):
        for name in _OF_URLS & (span.attributes or {}).keys():
            span.set_attribute(name, f"{scheme}://{host}")
