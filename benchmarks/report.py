"""One run as a document: for people in Markdown, for programs in JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.results import Figure, Results
from benchmarks.scale import Scale
from benchmarks.scenarios import SCENARIOS
from benchmarks.targets import Judged, judged


@dataclass(frozen=True, slots=True)
class Run:
    """What the figures come from.

    `command` is what was typed, `commands` side → how it was started, `begun` an ISO 8601 time,
    `seconds` how long all of it took, `load` the machine's load average before it.
    """

    command: str
    begun: str
    seconds: float
    load: float
    machine: Sequence[str]
    commands: Mapping[str, str]
    notes: Sequence[str]
    scale: Scale
    results: Results


def markdown(run: Run) -> str:
    """The whole report."""
    return "\n".join(_lines(run)) + "\n"


def document(run: Run) -> dict[str, Any]:
    """The same for programs: every value of every pass, and each target with its verdict."""
    return {
        "command": run.command,
        "begun": run.begun,
        "seconds": round(run.seconds, 1),
        "load_average_before": run.load,
        "machine": list(run.machine),
        "sides": dict(run.commands),
        "notes": list(run.notes),
        "figures": [
            {
                "scenario": figure.scenario,
                "side": figure.side,
                "name": figure.name,
                "unit": figure.unit,
                "median": figure.median,
                "values": list(figure.values),
            }
            for figure in run.results.figures()
        ],
        "targets": [
            {"text": one.target.text, "bound": one.target.bound, "measured": one.measured}
            | {"at_least": one.target.at_least, "holds": one.holds}
            for one in judged(run.results)
        ],
    }


def _lines(run: Run) -> Iterator[str]:
    yield "# Dragoman beside what one would use instead"
    yield ""
    took = f"{run.seconds / 60:.1f} min; load average {run.load:.1f} before it"
    yield f"`{run.command}`, begun {run.begun}, {took}."
    yield "Medians of the passes, in which the sides take turns, and (least - greatest)."
    yield ""
    yield from (f"- {line}" for line in run.machine)
    yield from (f"- {name}: `{command}`" for name, command in run.commands.items())
    yield from (f"- {note}" for note in run.notes)
    by_scenario: dict[str, list[Figure]] = {}
    for figure in run.results.figures():
        by_scenario.setdefault(figure.scenario, []).append(figure)
    for name, figures in by_scenario.items():
        yield ""
        yield f"## {name}"
        yield SCENARIOS[name].text(run.scale) if name in SCENARIOS else ""
        yield ""
        yield from _table(figures)
    yield ""
    yield "## Targets"
    yield "| target | bound | measured | |"
    yield "|---|---|---|---|"
    yield from (_row(one) for one in judged(run.results))


def _table(figures: Sequence[Figure]) -> Iterator[str]:
    sides = list(dict.fromkeys(figure.side for figure in figures))
    yield " | ".join(["|", *sides]) + " |"
    yield "|---" * (len(sides) + 1) + "|"
    cells = {(figure.name, figure.side): figure for figure in figures}
    for name in dict.fromkeys(figure.name for figure in figures):
        found = [cells.get((name, side)) for side in sides]
        unit = next(figure.unit for figure in found if figure is not None)
        head = f"{name}, {unit}" if unit else name
        yield " | ".join([f"| {head}", *(_cell(figure) for figure in found)]) + " |"


def _cell(figure: Figure | None) -> str:
    if figure is None:
        return "-"
    least, greatest = figure.spread
    if least == greatest:
        return number(figure.median)
    return f"{number(figure.median)} ({number(least)} - {number(greatest)})"


def _row(one: Judged) -> str:
    target = one.target
    bound = f"{'≥' if target.at_least else '≤'} {number(target.bound)} {target.unit}".rstrip()
    if one.measured is None:
        return f"| {target.text} | {bound} | - | not measured |"
    verdict = "holds" if one.holds else "**misses**"
    return f"| {target.text} | {bound} | {number(one.measured)} | {verdict} |"


def number(value: float) -> str:
    """Three digits, or all of a greater whole number."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
