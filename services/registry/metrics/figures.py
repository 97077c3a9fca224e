"""What one registry process counts.

Labels are bounded: routes are those of the application, codes those of the error tree, providers
those that are registered. No owner, key, model or id is ever one: callers make those up.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

UNMATCHED: Final = "unmatched"
PROBLEM: Final = "dragoman.problem"  # where in the WSGI environment an error leaves its code
# From a read of a list to the longest foreground call.
SECONDS: Final = (
    *(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5),
    *(1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 600.0),
)


class Figures:
    """The counters of one process, in a registry of their own; count on the loop's thread only."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self._requests = Counter(
            "dragoman_http_requests_total",
            "Requests answered.",
            ("method", "route", "status"),
            registry=registry,
        )
        self._seconds = Histogram(
            "dragoman_http_request_duration_seconds",
            "Time from a request to its answer, or to the begin of a streamed one.",
            ("method", "route"),
            buckets=SECONDS,
            registry=registry,
        )
        self._problems = Counter(
            "dragoman_http_problems_total",
            "Requests answered with an error, by its code (docs/errors.md).",
            ("code",),
            registry=registry,
        )
        self._accepted = Counter(
            "dragoman_jobs_accepted_total",
            "Chat jobs that were made durable.",
            ("provider", "tier", "mode"),
            registry=registry,
        )
        self._now = {
            name: Gauge(f"dragoman_{name}", text, registry=registry)
            for name, text in (
                ("requests_waiting", "Requests that wait for the end of a job."),
                ("streams_open", "Streamed answers under way."),
            )
        }

    def watch(self, **counted: Callable[[], float]) -> None:
        """What is asked for the gauges of these names, without `dragoman_`, at each scrape."""
        for name, count in counted.items():
            self._now[name].set_function(count)

    def answered(self, environ: dict[str, Any], status: str, seconds: float) -> None:
        """Count the answer to the request of this WSGI environment."""
        # Where werkzeug keeps the request; the application, not the client, chose its rule.
        rule = getattr(environ.get("werkzeug.request"), "url_rule", None)
        if rule is None:
            method = route = UNMATCHED
        else:
            method, route = environ["REQUEST_METHOD"], rule.rule
        self._requests.labels(method, route, status).inc()
        self._seconds.labels(method, route).observe(seconds)
        if (code := environ.get(PROBLEM)) is not None:
            self._problems.labels(code).inc()

    def accepted(self, provider: str, tier: str, *, background: bool) -> None:
        """Count a job that is durable now."""
        mode = "background" if background else "foreground"
        self._accepted.labels(provider, tier, mode).inc()
