"""The report holds what its figures come from, and each figure's median and spread."""

from __future__ import annotations

from benchmarks.report import Run, document, markdown, number
from benchmarks.results import Results
from benchmarks.scale import FULL
from benchmarks.sides import LITELLM, SQLITE


def run(results: Results) -> Run:
    return Run(
        command="./dragoman benchmark",
        begun="2026-11-23T00:00:00+00:00",
        seconds=90,
        load=0.2,
        machine=["machine: a processor, 2 cores"],
        commands={SQLITE: "./dragoman up", LITELLM: "litellm --config config.yaml"},
        notes=["Nothing was measured on PostgreSQL."],
        scale=FULL,
        results=results,
    )


def test_a_table_has_a_column_for_each_side_and_shows_the_spread() -> None:
    results = Results()
    for value in (410.0, 400.0, 450.0):
        results.note("saturation", SQLITE, "requests", value, "1/s")
    results.note("saturation", LITELLM, "requests", 64.25, "1/s")
    results.note("saturation", LITELLM, "errors", 0, "")
    lines = markdown(run(results)).splitlines()
    assert "| | Dragoman | LiteLLM |" in lines
    assert "| requests, 1/s | 410 (400 - 450) | 64.2 |" in lines
    assert "| errors | - | 0 |" in lines
    assert "| foreground requests/s beside LiteLLM | ≥ 6 x | 6.38 | holds |" in lines


def test_machine_commands_and_notes_are_in_it() -> None:
    told = markdown(run(Results()))
    assert (
        "`./dragoman benchmark`, begun 2026-11-23T00:00:00+00:00, 1.5 min; load average 0.2" in told
    )
    for part in ("2 cores", "- LiteLLM: `litellm --config config.yaml`", "- Nothing was measured"):
        assert part in told


def test_programs_get_every_value() -> None:
    results = Results()
    for value in (3.0, 1.0, 2.0):
        results.note("drain", SQLITE, "jobs", value, "1/s")
    (row,) = document(run(results))["figures"]
    assert row["values"] == [3.0, 1.0, 2.0]
    assert row["median"] == 2.0


def test_numbers_have_three_digits_or_are_whole() -> None:
    assert [number(value) for value in (0.0123, 1.0, 99.96, 100.4, 12345.6)] == [
        "0.0123",
        "1",
        "100",
        "100",
        "12,346",
    ]
