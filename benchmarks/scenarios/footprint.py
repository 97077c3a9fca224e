"""What an installation costs before it does anything: disk, time to be ready, idle memory and CPU.

Each pass starts an installation that is new, and ends it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from benchmarks import comparators, litellm_proxy, processes
from benchmarks.scale import Scale
from benchmarks.scenarios._scenario import Record, Scenario
from benchmarks.sides import LITELLM, SQLITE
from benchmarks.stage import Stage
from tests.system import System

WATCHED_SECONDS: Final = 3.0


def text(scale: Scale) -> str:
    """What is done."""
    return (
        "A new installation is started; its memory is that of all its processes, "
        f"{scale.idle:g} s after it was ready; Dragoman is then stopped and started again. "
        "Installed is what the locked packages take on the disk, with the compiled modules that "
        "their installation leaves."
    )


def measure(stage: Stage, name: str, record: Record) -> None:
    """One side, once."""
    if name == LITELLM:
        _litellm(stage, record)
    elif stage.scale.installations:
        _dragoman(stage, record)
    else:
        with _timed(record, "ready, first start"):
            side = stage.side(name)
        _idle(stage, side.roots(), record)


def _dragoman(stage: Stage, record: Record) -> None:
    system = System(stage.fresh_folder() / "data")
    try:
        with _timed(record, "ready, first start"):
            system.start()
        _idle(stage, (system.runner_pid,), record)
        system.stop()
        with _timed(record, "ready, later starts"):
            system.start()
    finally:
        system.stop()
    record("installed", comparators.installed_mb(comparators.dragoman_folder()), "MB")


def _litellm(stage: Stage, record: Record) -> None:
    python = comparators.litellm_python()
    proxy = litellm_proxy.Proxy(stage.fresh_folder(), python, stage.upstream, workers=1)
    try:
        with _timed(record, "ready, first start"):
            proxy.start()
        _idle(stage, (proxy.pid,), record)
    finally:
        proxy.stop()
    record("installed", comparators.installed_mb(python.parents[1]), "MB")


def _idle(stage: Stage, roots: Sequence[int], record: Record) -> None:
    time.sleep(stage.scale.idle)
    record("memory idle", processes.memory_mb(roots), "MB")
    before, began = processes.cpu_seconds(roots), time.perf_counter()
    time.sleep(min(WATCHED_SECONDS, stage.scale.idle))
    share = (processes.cpu_seconds(roots) - before) / (time.perf_counter() - began)
    record("CPU idle, of a core", share * 100, "%")


@contextmanager
def _timed(record: Record, what: str) -> Iterator[None]:
    began = time.perf_counter()
    yield
    record(what, time.perf_counter() - began, "s")


SCENARIO = Scenario("footprint", text, (SQLITE, LITELLM), measure)
