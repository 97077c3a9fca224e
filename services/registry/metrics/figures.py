"""What one registry process counts.

Labels are bounded: routes are those of the application, codes those of the error tree, providers
those that are registered. No owner, key, model or id is ever one: callers make those up.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

from shared.errors import InternalError
from shared.metrics import unreadable

UNMATCHED: Final = "unmatched"
# Where the application leaves, in the WSGI environment, the route that it chose and the code of an
# error: the client's own words would be labels without bound.
ROUTE: Final = "dragoman.route"
PROBLEM: Final = "dragoman.problem"
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
        # Looking children up by their labels would be half of what counting costs.
        self._of_route: dict[tuple[str, str, str], tuple[Counter, Histogram]] = {}
        self._problems = Counter(
            "dragoman_http_problems_total",
            "Requests answered with an error, by its code (docs/errors.md).",
            ("code",),
            registry=registry,
        )
        # At 0, since an alert asks for it: `increase` needs a number before the first.
        self._problems.labels(InternalError.code)
        registry.register(unreadable.COUNT)
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
        route = environ.get(ROUTE, UNMATCHED)
        method = UNMATCHED if route == UNMATCHED else environ["REQUEST_METHOD"]
        found = self._of_route.get((method, route, status))
        if found is None:
            found = (
                self._requests.labels(method, route, status),
                self._seconds.labels(method, route),
            )
            self._of_route[method, route, status] = found
        count, durations = found
        count.inc()
        durations.observe(seconds)
        if (code := environ.get(PROBLEM)) is not None:
            self._problems.labels(code).inc()

    def accepted(self, provider: str, tier: str, *, background: bool) -> None:
        """Count a job that is durable now."""
        mode = "background" if background else "foreground"
        self._accepted.labels(provider, tier, mode).inc()
