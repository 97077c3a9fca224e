"""Plain calls at a given rate: what a side adds to the upstream's own time."""

from __future__ import annotations

import asyncio

from benchmarks import load
from benchmarks.scale import Scale
from benchmarks.scenarios._scenario import Record, Scenario
from benchmarks.sides import DIRECT, LITELLM, SQLITE
from benchmarks.stage import Stage


def text(scale: Scale) -> str:
    """What is done."""
    rates = " and ".join(f"{rate}/s" for rate in scale.rates)
    return (
        f"Calls come evenly at {rates} for {scale.open_loop:g} s each, whether or not the ones "
        f"before were answered; the upstream takes {scale.open_latency:g} s, which is subtracted."
    )


def measure(stage: Stage, name: str, record: Record) -> None:
    """One side, once, at all rates."""
    scale, side = stage.scale, stage.side(name)
    call = side.chat(sim={"latency": scale.open_latency})
    asyncio.run(load.open_loop(call, rate=scale.rates[0], seconds=scale.warm))
    for rate in scale.rates:
        answers = asyncio.run(load.open_loop(call, rate=rate, seconds=scale.open_loop))
        record(f"added at {rate}/s, p50", (answers.median - scale.open_latency) * 1000, "ms")
        p99 = answers.quantile(0.99)
        record(f"added at {rate}/s, p99", (p99 - scale.open_latency) * 1000, "ms")
        record(f"errors at {rate}/s", answers.errors, "")


SCENARIO = Scenario("open-loop", text, (DIRECT, SQLITE, LITELLM), measure)
