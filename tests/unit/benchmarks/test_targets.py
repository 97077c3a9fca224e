"""Targets are judged by the medians of one run, and say so where it did not measure them."""

from __future__ import annotations

import pytest

from benchmarks.results import Results
from benchmarks.scenarios import SCENARIOS
from benchmarks.sides import CELERY, DIRECT, LITELLM, SQLITE
from benchmarks.targets import TARGETS, Target, beyond, figure, judged, ratio


def noted(*rows: tuple[str, str, str, float]) -> Results:
    results = Results()
    for scenario, side, name, value in rows:
        results.note(scenario, side, name, value, "")
    return results


def test_a_ratio_is_that_of_the_medians() -> None:
    rates = [("s", SQLITE, "rate", rate) for rate in (90.0, 600.0, 660.0)]
    results = noted(*rates, ("s", LITELLM, "rate", 100.0))
    assert ratio("s", "rate", SQLITE, LITELLM)(results) == 6


def test_what_is_beyond_a_base_leaves_the_base_out() -> None:
    results = noted(
        ("s", DIRECT, "p50", 2.0), ("s", SQLITE, "p50", 5.0), ("s", LITELLM, "p50", 8.0)
    )
    assert beyond("s", "p50", SQLITE, LITELLM, DIRECT)(results) == 0.5


def test_nothing_beyond_the_base_is_no_ratio() -> None:
    results = noted(
        ("s", DIRECT, "p50", 9.0), ("s", SQLITE, "p50", 5.0), ("s", LITELLM, "p50", 8.0)
    )
    assert beyond("s", "p50", SQLITE, LITELLM, DIRECT)(results) is None


@pytest.mark.parametrize(
    ("value", "at_least", "verdict"),
    [(6.0, True, "holds"), (5.9, True, "misses"), (6.0, False, "holds"), (6.1, False, "misses")],
)
def test_the_bound_itself_holds(value: float, at_least: bool, verdict: str) -> None:
    target = Target("it", figure("s", "it", SQLITE), 6, at_least=at_least, unit="s")
    line = target.judged(noted(("s", SQLITE, "it", value))).line()
    assert line.startswith(f"target it: {'≥' if at_least else '≤'} 6 s, measured ")
    assert line.endswith(verdict)


def test_a_target_that_was_not_measured_neither_holds_nor_misses() -> None:
    found = list(judged(Results()))
    assert len(found) == len(TARGETS)
    assert {one.holds for one in found} == {None}
    assert all(one.line().endswith("not measured") for one in found)


def test_each_target_reads_what_a_scenario_measures() -> None:
    """With every figure that a scenario may note, nothing is left unmeasured."""
    names = {
        "saturation": ("requests", "CPU per request"),
        "accept": ("accepted",),
        "open-loop": ("added at 20/s, p50",),
        "at-once": ("beyond the upstream's time", "errors"),
        "streams": ("text", "CPU per chunk"),
        "drain": ("jobs",),
        "in-flight": ("in flight at once",),
        "footprint": ("memory idle", "ready, first start", "installed"),
        "growth": ("the figure that grew most",),
    }
    results = Results()
    for scenario, figures in names.items():
        for side in SCENARIOS[scenario].sides:
            for name in figures:
                results.note(scenario, side, name, 1.0 if side == DIRECT else 2.0, "")
    assert [one.target.text for one in judged(results) if one.measured is None] == []
    assert CELERY in SCENARIOS["drain"].sides
