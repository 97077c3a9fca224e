"""How many calls are open at the upstream at once, beside a plain Celery worker."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import psutil

from benchmarks import celery_worker, load, sides
from benchmarks.scale import Scale
from benchmarks.scenarios._scenario import Record, Scenario
from benchmarks.sides import CELERY, SQLITE, Side
from benchmarks.stage import Stage
from tests.campaigns.jobtable import JobTable
from tests.eventually import eventually
from tests.simulators import Remote
from tests.system import System

FULL_SECONDS: Final = 120.0


def text(scale: Scale) -> str:
    """What is done."""
    return (
        f"{scale.in_flight:,} background jobs whose upstream answers only when all are there; one "
        f"chat worker with DRAGOMAN_CHAT_CONCURRENCY={scale.in_flight}. Celery gets a hundred."
    )


def measure(stage: Stage, name: str, record: Record) -> None:
    """One side, once; Dragoman in an installation of its own."""
    stage.upstream.reset()
    if name == CELERY:
        _celery(stage, stage.side(name), record)
        return
    with _installation(stage, name) as (system, side):
        idle = side.memory_mb()
        call = side.chat(background=True)
        stage.upstream.hold()
        try:
            submitted = asyncio.run(
                load.exactly(call, stage.scale.in_flight, connections=stage.scale.connections)
            )
            most = _most(stage.upstream, stage.scale.in_flight)
            loaded = side.memory_mb()
            worker = psutil.Process(system.pid_of("chat-worker")).memory_info().rss / 1e6
        finally:
            stage.upstream.release()
        jobs = JobTable(system.database_url)
        eventually(lambda: jobs.live() == 0, FULL_SECONDS, every=0.1)
    record("in flight at once", most, "")
    record("errors", submitted.errors, "")
    record("calls beyond one for a job", stage.upstream.stats().begun - submitted.calls, "")
    record("memory idle", idle, "MB")
    record("memory with all in flight", loaded, "MB")
    record("chat worker's resident memory", worker, "MB")


@contextmanager
def _installation(stage: Stage, name: str) -> Iterator[tuple[System, Side]]:
    if not stage.scale.installations:
        side = stage.side(name)
        yield stage.system(name), side
        return
    settings = {"DRAGOMAN_CHAT_CONCURRENCY": str(stage.scale.in_flight)}
    with sides.dragoman(stage.fresh_folder(), stage.upstream, settings=settings) as started:
        yield started


def _celery(stage: Stage, side: Side, record: Record) -> None:
    count = 100
    stage.upstream.hold()
    try:
        celery_worker.submit(side, count, {})
        # As many as it has processes for come; whether more do is what is asked.
        stage.upstream.wait_until(lambda stats: stats.in_flight >= celery_worker.PROCESSES, 30)
        most = _most(stage.upstream, count, patience=1.0)
    finally:
        stage.upstream.release()
    stage.upstream.wait_until(lambda stats: stats.answered >= count, FULL_SECONDS)
    record("in flight at once", most, "")


def _most(upstream: Remote, wanted: int, *, patience: float = FULL_SECONDS) -> int:
    """The calls in flight once they are `wanted`, or after `patience` seconds."""
    try:
        return upstream.wait_until(lambda stats: stats.in_flight >= wanted, patience).high_water
    except TimeoutError:
        return upstream.stats().high_water


SCENARIO = Scenario("in-flight", text, (SQLITE, CELERY), measure)
