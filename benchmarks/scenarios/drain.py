"""Jobs that wait in the queue: how fast a worker ends them, beside a plain Celery worker."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

from benchmarks import celery_worker, load
from benchmarks.scale import Scale
from benchmarks.scenarios._scenario import Record, Scenario
from benchmarks.sides import CELERY, SQLITE, Side
from benchmarks.stage import Stage

WORKER: Final = "chat-worker"
Size = Callable[[Scale], tuple[int, int, float]]  # our jobs, Celery's, the upstream's seconds


def cores() -> int:
    """How many tasks a Celery worker runs at once by default."""
    return os.cpu_count() or 1


def of_a_model(scale: Scale) -> tuple[int, int, float]:
    """As many jobs as the target names; for Celery as many as take a while."""
    return scale.jobs, scale.celery_jobs * cores(), scale.job_latency


def at_once(scale: Scale) -> tuple[int, int, float]:
    """The same number for both, of an upstream that answers at once."""
    return scale.quick_jobs, scale.quick_jobs, 0.0


def text(size: Size, scale: Scale) -> str:
    """What is done."""
    ours, theirs, latency = size(scale)
    takes = f"takes {latency:g} s" if latency else "answers at once"
    return (
        f"{ours:,} queued jobs for an upstream that {takes}, {theirs:,} for Celery, whose worker "
        f"runs {cores()} at once: from the moment that the worker begins until the last has ended."
    )


def measure(size: Size, stage: Stage, name: str, record: Record) -> None:
    """One side, once."""
    side = stage.side(name)
    ours, theirs, latency = size(stage.scale)
    sim = {"latency": latency}
    if name == CELERY:
        _celery(stage, side, theirs, sim, record)
    else:
        _dragoman(stage, side, ours, sim, record)


def _dragoman(stage: Stage, side: Side, count: int, sim: dict[str, Any], record: Record) -> None:
    system = stage.system(side.name)
    call = side.chat(sim=sim, background=True)
    stage.upstream.reset()
    size = _database_bytes(system.data_dir)
    stage.ended(side.name)
    with system.suspended_between_writes(WORKER):
        answers = asyncio.run(load.exactly(call, count, connections=stage.scale.connections))
        before, began = side.cpu_seconds(), time.perf_counter()
    stage.ended(side.name)
    seconds = time.perf_counter() - began
    stats = stage.upstream.stats()
    record("jobs", count / seconds, "1/s")
    record("CPU per job", (side.cpu_seconds() - before) / count * 1000, "ms")
    record("in flight at once", stats.high_water, "")
    record("jobs without exactly one call", abs(stats.begun - count), "")
    record("submitted, worker stopped", answers.rate, "1/s")
    record("errors", answers.errors, "")
    if size is not None and (grown := _database_bytes(system.data_dir)) is not None:
        record("database bytes per job", max(0, grown - size) / count, "B")


def _celery(stage: Stage, side: Side, count: int, sim: dict[str, Any], record: Record) -> None:
    stage.upstream.reset()
    with celery_worker.suspended(side):
        celery_worker.submit(side, count, sim)
        before, began = side.cpu_seconds(), time.perf_counter()
    stats = stage.upstream.wait_until(lambda stats: stats.answered >= count, 600)
    seconds = time.perf_counter() - began
    time.sleep(stage.scale.settle)
    record("jobs", count / seconds, "1/s")
    record("CPU per job", (side.cpu_seconds() - before) / count * 1000, "ms")
    record("in flight at once", stats.high_water, "")


def _database_bytes(data_dir: Path) -> int | None:
    """SQLite's files; None where the database is another one."""
    files = list(data_dir.glob("dragoman.db*"))
    return sum(file.stat().st_size for file in files) if files else None


SCENARIO = Scenario(
    "drain", partial(text, of_a_model), (SQLITE, CELERY), partial(measure, of_a_model)
)
QUICK = Scenario(
    "drain-at-once", partial(text, at_once), (SQLITE, CELERY), partial(measure, at_once)
)
