"""What an installation costs before it does anything: disk, time to be ready, idle memory and CPU.

Each pass starts an installation that is new, and ends it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from benchmarks import comparators, litellm_proxy, sides
from benchmarks.scale import Scale
from benchmarks.scenarios._scenario import Record, Scenario
from benchmarks.sides import LITELLM, LITELLM_2, POSTGRES, SQLITE, Side
from benchmarks.stage import Stage
from tests.system import System

WATCHED_SECONDS: Final = 3.0


def text(scale: Scale) -> str:
    """What is done."""
    return (
        "A new installation is started; its memory is that of all its processes, "
        f"{scale.idle:g} s after it was ready; then it is stopped and started again. Installed is "
        "what its locked packages take on the disk."
    )


def measure(stage: Stage, name: str, record: Record) -> None:
    """One side, once."""
    if name in (SQLITE, POSTGRES):
        _dragoman(stage, name, record)
    else:
        _litellm(stage, name, record)


def _dragoman(stage: Stage, name: str, record: Record) -> None:
    if not stage.scale.installations:
        with _timed(record, "ready, first start"):
            side = stage.side(name)
        _idle(stage, side, record)
        return
    with sides.database(postgres=name == POSTGRES) as (settings, beside):
        system = System(stage.fresh_folder() / "data", env=settings)
        try:
            with _timed(record, "ready, first start"):
                system.start()
            roots = (system.runner_pid, *beside)
            _idle(stage, Side(name, "", "", "", None, lambda: roots), record)
            system.stop()
            with _timed(record, "ready, later starts"):
                system.start()
        finally:
            system.stop()
    if name == SQLITE:
        record("installed", comparators.installed_mb(comparators.dragoman_folder()), "MB")


def _litellm(stage: Stage, name: str, record: Record) -> None:
    python = comparators.litellm_python()
    workers = 1 if name == LITELLM else 2
    proxy = litellm_proxy.Proxy(stage.fresh_folder(), python, stage.upstream, workers=workers)
    try:
        with _timed(record, "ready, first start"):
            proxy.start()
        _idle(stage, Side(name, "", "", "", None, lambda: (proxy.pid,)), record)
        proxy.stop()
        with _timed(record, "ready, later starts"):
            proxy.start()
    finally:
        proxy.stop()
    if workers == 1:
        record("installed", comparators.installed_mb(python.parents[1]), "MB")


def _idle(stage: Stage, side: Side, record: Record) -> None:
    time.sleep(stage.scale.idle)
    record("memory idle", side.memory_mb(), "MB")
    before, began = side.cpu_seconds(), time.perf_counter()
    time.sleep(min(WATCHED_SECONDS, stage.scale.idle))
    share = (side.cpu_seconds() - before) / (time.perf_counter() - began)
    record("CPU idle, of a core", share * 100, "%")


@contextmanager
def _timed(record: Record, what: str) -> Iterator[None]:
    began = time.perf_counter()
    yield
    record(what, time.perf_counter() - began, "s")


SCENARIO = Scenario("footprint", text, (SQLITE, POSTGRES, LITELLM, LITELLM_2), measure)
