"""A crowd: many plain calls at the same moment, each of which takes the upstream a while."""

from __future__ import annotations

import asyncio
import time

from benchmarks import load
from benchmarks.scale import Scale
from benchmarks.scenarios._scenario import Record, Scenario
from benchmarks.sides import DIRECT, LITELLM, SQLITE
from benchmarks.stage import Stage


def text(scale: Scale) -> str:
    """What is done."""
    return (
        f"{scale.burst:,} calls at the same moment, each of which takes the upstream "
        f"{scale.burst_latency:g} s; told is the time until the last answer beyond that."
    )


def measure(stage: Stage, name: str, record: Record) -> None:
    """One side, once."""
    scale, side = stage.scale, stage.side(name)
    call = side.chat(sim={"latency": scale.burst_latency})
    asyncio.run(load.at_once(side.chat(), scale.connections))
    stage.upstream.reset()
    before = side.cpu_seconds()
    answers = asyncio.run(load.at_once(call, scale.burst))
    time.sleep(scale.settle)
    record("beyond the upstream's time", answers.seconds - scale.burst_latency, "s")
    record("CPU", side.cpu_seconds() - before, "s")
    record("in flight at once", stage.upstream.stats().high_water, "")
    record("errors", answers.errors, "")


SCENARIO = Scenario("at-once", text, (DIRECT, SQLITE, LITELLM), measure)
