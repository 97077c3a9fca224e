"""Snapshots and facts as one page in Prometheus' text format.

https://prometheus.io/docs/instrumenting/exposition_formats/: all samples of one metric stand
together, under one HELP and TYPE.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

from shared.metrics.snapshot import Snapshot

CONTENT_TYPE: Final = CONTENT_TYPE_PLAIN_0_0_4
PROCESS: Final = "process"  # the label of a snapshot's series


@dataclass(frozen=True, slots=True)
class Fact:
    """A figure that belongs to no process, with its samples by the values of `labels`."""

    name: str
    help: str
    type: str  # "gauge", or "counter" with `_total` in the name
    labels: Sequence[str]
    samples: Mapping[tuple[str, ...], float]


def page(snapshots: Iterable[Snapshot], facts: Iterable[Fact] = ()) -> bytes:
    """The page; every sample of a snapshot has its process."""
    families: dict[str, Metric] = {}
    for snapshot in snapshots:
        process = {PROCESS: snapshot.process}
        for family in snapshot.families:
            metric = families.get(family.name)
            if metric is None:
                metric = families[family.name] = Metric(family.name, family.help, family.type)
            for name, labels, value in family.samples:
                metric.add_sample(name, {**labels, **process}, value)
    for fact in facts:
        metric = Metric(fact.name.removesuffix("_total"), fact.help, fact.type)
        families[fact.name] = metric
        for values, value in fact.samples.items():
            labels = dict(zip(fact.labels, values, strict=True))
            metric.add_sample(fact.name, labels, value)
    return generate_latest(cast(CollectorRegistry, _Collected(families.values())))


class _Collected:
    """What `generate_latest` asks of a registry."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterator[Any]:
        return iter(self._families)
