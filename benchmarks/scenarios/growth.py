"""Every figure with a thousand times as many finished jobs; see `benchmarks.growth`."""

from __future__ import annotations

from typing import Final

from benchmarks.growth.__main__ import FINISHED
from benchmarks.growth.run import measured
from benchmarks.scale import Scale
from benchmarks.scenarios._scenario import Record, Scenario
from benchmarks.sides import POSTGRES, SQLITE
from benchmarks.stage import Stage

WORST: Final = "the figure that grew most"


def text(scale: Scale) -> str:
    """What is done."""
    sizes = " and ".join(f"{size:,}" for size in FINISHED)
    return (
        f"Two installations with {sizes} finished jobs are asked in turns, {scale.passes} passes. "
        "What may grow by its nature does not count as the one that grew most."
    )


def measure(stage: Stage, name: str, record: Record) -> None:
    """One side, with all of its passes."""
    found = measured(FINISHED, postgres=name == POSTGRES, passes=stage.scale.passes)
    for one in found:
        for size, seconds in sorted(one.by_size.items()):
            record(f"{one.name}, {size:,} jobs", seconds * 1000, "ms")
    counted = [one for one in found if not one.why]
    record(WORST, max(one.factor for one in counted), "x")


SCENARIO = Scenario("growth", text, (SQLITE, POSTGRES), measure, apart=True)
