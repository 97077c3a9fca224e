"""The figures of one process at one moment, in the form in which processes hand them on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
from prometheus_client import CollectorRegistry

Sample = tuple[str, dict[str, str], float]


class Family(msgspec.Struct, frozen=True, array_like=True):
    """One metric with its samples, as prometheus_client collects them."""

    name: str
    help: str
    type: str
    samples: Sequence[Sample]


class Snapshot(msgspec.Struct, frozen=True, array_like=True):
    """What the process of this name had counted `at` this moment, in Unix seconds."""

    process: str
    at: float
    families: Sequence[Family]


_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final = msgspec.msgpack.Decoder(Snapshot)


def taken(registry: CollectorRegistry, process: str, *, now: float) -> Snapshot:
    """The snapshot of this registry; without the moments at which series began."""
    families = [
        Family(
            metric.name,
            metric.documentation,
            metric.type,
            [
                (sample.name, sample.labels, sample.value)
                for sample in metric.samples
                if not sample.name.endswith("_created")
            ],
        )
        for metric in registry.collect()
    ]
    return Snapshot(process, now, families)


def encoded(snapshot: Snapshot) -> bytes:
    """The snapshot in MessagePack, which unlike JSON has infinity."""
    return _ENCODER.encode(snapshot)


def decoded(packed: bytes) -> Snapshot:
    """The snapshot that was packed so; raises msgspec.DecodeError."""
    return _DECODER.decode(packed)
