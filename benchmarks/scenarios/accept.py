"""Background jobs: how fast they are accepted while the worker is at work on them."""

from __future__ import annotations

import asyncio

from benchmarks.load import closed_loop, one_by_one
from benchmarks.scale import Scale
from benchmarks.scenarios._scenario import Record, Scenario
from benchmarks.sides import POSTGRES, SQLITE
from benchmarks.stage import Stage


def text(scale: Scale) -> str:
    """What is done."""
    return (
        f"{scale.connections} connections submit background jobs for {scale.accept:g} s, while the "
        f"chat worker runs them on an upstream that takes {scale.job_latency:g} s; then, with "
        f"nothing else to do, {scale.accepts} more, one after the other."
    )


def measure(stage: Stage, name: str, record: Record) -> None:
    """One side, once; returns when its jobs have ended."""
    scale, side = stage.scale, stage.side(name)
    call = side.chat(sim={"latency": scale.job_latency}, background=True)
    answers = asyncio.run(closed_loop(call, connections=scale.connections, seconds=scale.accept))
    stage.ended(name)
    alone = asyncio.run(one_by_one(call, scale.accepts))
    stage.ended(name)
    record("accepted", answers.rate, "1/s")
    record("p50", answers.median * 1000, "ms")
    record("p99", answers.quantile(0.99) * 1000, "ms")
    record("one alone, p50", alone.median * 1000, "ms")
    record("one alone, p99", alone.quantile(0.99) * 1000, "ms")
    record("errors", answers.errors + alone.errors, "")


SCENARIO = Scenario("accept", text, (SQLITE, POSTGRES), measure)
