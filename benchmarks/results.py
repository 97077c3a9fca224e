"""The figures of a run: one value for each pass, told as a median and its spread."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

Key = tuple[str, str, str]  # scenario, side, name


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure of one side: `values` has one for each pass, in the order of the passes."""

    scenario: str
    side: str
    name: str
    unit: str
    values: Sequence[float]

    @property
    def median(self) -> float:
        """The median over the passes."""
        return statistics.median(self.values)

    @property
    def spread(self) -> tuple[float, float]:
        """The least and the greatest."""
        return min(self.values), max(self.values)


@dataclass(slots=True)
class Results:
    """What was measured; written by the scenarios, read by the targets and the report.

    `failures` are sentences about what could not be measured.
    """

    _values: dict[Key, list[float]] = field(default_factory=dict)
    _units: dict[Key, str] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)

    def note(self, scenario: str, side: str, name: str, value: float, unit: str) -> None:
        """Add the value of one pass."""
        key = (scenario, side, name)
        self._values.setdefault(key, []).append(value)
        self._units[key] = unit

    def figures(self) -> Iterator[Figure]:
        """All, in the order in which they were first noted."""
        for (scenario, side, name), values in self._values.items():
            yield Figure(scenario, side, name, self._units[scenario, side, name], values)

    def median(self, scenario: str, side: str, name: str) -> float | None:
        """The median of one figure; None where it was not measured."""
        values = self._values.get((scenario, side, name))
        return statistics.median(values) if values else None
