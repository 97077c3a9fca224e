"""The benchmark runs: its short form does every scenario, and what it counts is right.

Bounds have five times the slack of the targets: this machine is shared, and the numbers are tiny.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from benchmarks import celery_worker
from benchmarks.scale import SHORT
from benchmarks.scenarios import SCENARIOS
from benchmarks.sides import CELERY, DIRECT, SQLITE
from benchmarks.targets import TARGETS

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.timeout(180)
Figures = Mapping[tuple[str, str, str], float]


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The short form's report; its JSON is beside it."""
    out = tmp_path_factory.mktemp("benchmark") / "report.md"
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--short", "--out", str(out)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=160,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return out


@pytest.fixture(scope="module")
def document(report: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(report.with_suffix(".json").read_text("utf-8"))
    return found


@pytest.fixture(scope="module")
def figures(document: dict[str, Any]) -> Figures:
    rows = document["figures"]
    return {(row["scenario"], row["side"], row["name"]): row["median"] for row in rows}


def test_every_scenario_measures_dragoman(figures: Figures) -> None:
    unasked = {name for name, scenario in SCENARIOS.items() if not scenario.apart}
    assert {scenario for scenario, side, _ in figures if side == SQLITE} == unasked


def test_no_call_fails_and_no_job_is_called_twice_or_never(figures: Figures) -> None:
    counted = {
        place: value
        for place, value in figures.items()
        if "error" in place[2] or "one call" in place[2] or "beyond one" in place[2]
    }
    assert len(counted) >= 10
    assert {place: value for place, value in counted.items() if value} == {}


def test_jobs_are_in_flight_together_and_celery_s_one_for_each_core(figures: Figures) -> None:
    assert figures["in-flight", SQLITE, "in flight at once"] == SHORT.in_flight
    assert figures["at-once", SQLITE, "in flight at once"] == SHORT.burst
    assert figures["in-flight", CELERY, "in flight at once"] == celery_worker.PROCESSES


def test_figures_are_within_five_times_their_targets(figures: Figures) -> None:
    jobs = figures["drain", SQLITE, "jobs"], figures["drain", CELERY, "jobs"]
    assert jobs[0] >= 10 / 5 * jobs[1]
    text = figures["streams", SQLITE, "text"], figures["streams", DIRECT, "text"]
    assert text[0] >= 0.85 / 5 * text[1]
    assert figures["footprint", SQLITE, "memory idle"] <= 400 * 5
    assert figures["footprint", SQLITE, "ready, first start"] <= 6 * 5


def test_the_report_names_machine_commands_and_each_target(
    report: Path, document: dict[str, Any]
) -> None:
    told = report.read_text("utf-8")
    assert "cores" in document["machine"][0]
    assert document["sides"][SQLITE] == "./dragoman up"
    assert f"`{document['sides'][CELERY]}`" in told
    for target in TARGETS:
        assert f"| {target.text} |" in told
    assert {one["text"] for one in document["targets"]} == {target.text for target in TARGETS}
    # LiteLLM is not part of the short form: no ratio with it may look measured.
    assert all(one["holds"] is None for one in document["targets"] if "LiteLLM" in one["text"])
