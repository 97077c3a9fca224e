"""What is measured, in the order of a run; each scenario is a module with a `SCENARIO`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from benchmarks.scenarios import (
    accept,
    at_once,
    drain,
    footprint,
    growth,
    in_flight,
    open_loop,
    saturation,
    streams,
)
from benchmarks.scenarios._scenario import Record, Scenario

# The footprint first: what runs beside a process makes its share of common pages smaller.
SCENARIOS: Final[Mapping[str, Scenario]] = {
    scenario.name: scenario
    for scenario in (
        footprint.SCENARIO,
        saturation.SCENARIO,
        open_loop.SCENARIO,
        at_once.SCENARIO,
        streams.SCENARIO,
        accept.SCENARIO,
        drain.SCENARIO,
        drain.QUICK,
        in_flight.SCENARIO,
        growth.SCENARIO,
    )
}

__all__ = ["SCENARIOS", "Record", "Scenario"]
