"""As many plain calls as some connections can get answered."""

from __future__ import annotations

import asyncio
import time

from benchmarks.load import closed_loop
from benchmarks.scale import Scale
from benchmarks.scenarios._scenario import Record, Scenario
from benchmarks.sides import DIRECT, LITELLM, LITELLM_2, POSTGRES, SQLITE
from benchmarks.stage import Stage


def text(scale: Scale) -> str:
    """What is done."""
    return (
        f"{scale.connections} connections ask again as soon as they are answered, for "
        f"{scale.saturation:g} s; the upstream answers at once."
    )


def measure(stage: Stage, name: str, record: Record) -> None:
    """One side, once."""
    scale, side, upstream = stage.scale, stage.side(name), stage.side(DIRECT)
    call = side.chat()
    asyncio.run(closed_loop(call, connections=scale.connections, seconds=scale.warm))
    before, upstream_before = side.cpu_seconds(), upstream.cpu_seconds()
    answers = asyncio.run(
        closed_loop(call, connections=scale.connections, seconds=scale.saturation)
    )
    upstream_cpu = upstream.cpu_seconds() - upstream_before
    time.sleep(scale.settle)
    cpu = side.cpu_seconds() - before
    record("requests", answers.rate, "1/s")
    record("CPU per request", cpu / answers.calls * 1000, "ms")
    record("p50", answers.median * 1000, "ms")
    record("p99", answers.quantile(0.99) * 1000, "ms")
    record("errors", answers.errors, "")
    record("memory right after", side.memory_mb(), "MB")
    record("load generator's share of a core", answers.cpu / answers.seconds * 100, "%")
    record("upstream's share of a core", upstream_cpu / answers.seconds * 100, "%")


SCENARIO = Scenario("saturation", text, (DIRECT, SQLITE, POSTGRES, LITELLM, LITELLM_2), measure)
