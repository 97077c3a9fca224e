"""What one discovery worker counts, for Prometheus; what is so now is in the database."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

from shared.domain import DiscoveryStatus


class Figures:
    """The counters of one process, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self._checks = Counter(
            "dragoman_discovery_checks_total",
            "Looks at providers' lists of models, by what they found.",
            ("status",),
            registry=registry,
        )
        self._seconds = Histogram(
            "dragoman_discovery_check_duration_seconds",
            "Time that such a look took.",
            buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
            registry=registry,
        )
        self._running = Gauge(
            "dragoman_discovery_checks_in_progress",
            "Such looks under way.",
            registry=registry,
        )

    def begun(self) -> None:
        """A look begins."""
        self._running.inc()

    def over(self) -> None:
        """A look is over, however it ended."""
        self._running.dec()

    def found(self, status: DiscoveryStatus, *, seconds: float) -> None:
        """What a look found."""
        self._checks.labels(status.value).inc()
        self._seconds.observe(seconds)
