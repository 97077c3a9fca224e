"""Every metric that the code has: what dashboards, alerts and pages may speak of."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from prometheus_client import CollectorRegistry
from prometheus_client.metrics import MetricWrapperBase

from services.chat_worker.figures import Figures as OfChatWorkers
from services.discovery_worker.figures import Figures as OfDiscoveryWorkers
from services.registry.metrics.facts import SHOWN
from services.registry.metrics.figures import Figures as OfRegistries
from services.registry.metrics.view import UP


class Shown(NamedTuple):
    """One metric as it is scraped."""

    name: str
    type: str
    labels: tuple[str, ...]
    help: str

    @property
    def series(self) -> set[str]:
        """The names of its samples."""
        if self.type != "histogram":
            return {self.name}
        return {f"{self.name}_{part}" for part in ("bucket", "count", "sum")}


def shown() -> list[Shown]:
    """All of them, in the order of the page; what several kinds of process count, once."""
    counted = [
        *_of(OfRegistries().registry),
        *_of(OfChatWorkers().registry),
        *_of(OfDiscoveryWorkers().registry),
    ]
    facts = [Shown(name, kind, labels, text) for name, (kind, labels, text) in SHOWN.items()]
    up = [Shown(name, "gauge", (), text) for name, text in UP.items()]
    return list(dict.fromkeys([*facts, *up, *counted]))


def _of(registry: CollectorRegistry) -> Iterator[Shown]:
    for collector in registry._collector_to_names:
        if isinstance(collector, MetricWrapperBase):
            (metric,) = collector.describe()
            suffix = "_total" if metric.type == "counter" else ""
            labels = ("process", *collector._labelnames)
            yield Shown(metric.name + suffix, metric.type, labels, metric.documentation)
