"""Charts as shapes for SVG templates: stacked bars and lines over a row of times.

All lengths are in the units of the drawing's viewBox, which is `WIDTH` by `HEIGHT`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

WIDTH: Final = 720
HEIGHT: Final = 220
LEFT, RIGHT, TOP, BOTTOM = 56, 8, 12, 26
MOST_SERIES: Final = 6  # further ones are shown as one
MOST_LABELS: Final = 8  # of times, below the axis
STEPS: Final = 4  # between the lines of the grid, about

Values = Mapping[str, Sequence[float | None]]  # series → a value for each time, None: there is none
Words = Callable[[float], str]


@dataclass(frozen=True, slots=True)
class Bar:
    """One part of a column."""

    x: float
    y: float
    width: float
    height: float
    series: int
    title: str


@dataclass(frozen=True, slots=True)
class Dot:
    """One point of a line."""

    x: float
    y: float
    title: str


@dataclass(frozen=True, slots=True)
class Line:
    """One series as a polyline for each stretch without a gap, and a dot for each point."""

    series: int
    stretches: Sequence[str]
    dots: Sequence[Dot]


@dataclass(frozen=True, slots=True)
class Chart:
    """What a template draws. `grid` holds heights with words, `times` places with words."""

    names: Sequence[str]
    bars: Sequence[Bar]
    lines: Sequence[Line]
    grid: Sequence[tuple[float, str]]
    times: Sequence[tuple[float, str]]

    @property
    def empty(self) -> bool:
        """Whether there is nothing to draw."""
        return not self.bars and not self.lines


def columns(times: Sequence[str], values: Values, words: Words, axis: Words) -> Chart:
    """Stacked columns; the first series stands at the bottom. `axis` words the grid's values."""
    sums = [sum(series[at] or 0.0 for series in values.values()) for at in range(len(times))]
    scale = _Scale(len(times), max(sums, default=0.0))
    bars = []
    for at, time in enumerate(times):
        below = 0.0
        for number, (name, series) in enumerate(values.items()):
            value = series[at] or 0.0
            if value <= 0:
                continue
            top = scale.y(below + value)
            width = scale.step * 0.72
            title = f"{time}: {name} {words(value)}"
            bars.append(
                Bar(
                    _short(scale.x(at) - width / 2),
                    top,
                    _short(width),
                    _short(max(scale.y(below) - top, 0.5)),
                    number,
                    title,
                )
            )
            below += value
    return _chart(times, values, scale, axis, bars=bars)


def lines(times: Sequence[str], values: Values, words: Words, axis: Words) -> Chart:
    """A line for each series, with gaps where it has no value."""
    known = [value for series in values.values() for value in series if value is not None]
    scale = _Scale(len(times), max(known, default=0.0))
    drawn = []
    for number, (name, series) in enumerate(values.items()):
        dots = [
            None
            if value is None
            else Dot(scale.x(at), scale.y(value), f"{times[at]}: {name} {words(value)}")
            for at, value in enumerate(series)
        ]
        present = [dot for dot in dots if dot is not None]
        if present:
            drawn.append(Line(number, _stretches(dots), present))
    return _chart(times, values, scale, axis, drawn=drawn)


class _Scale:
    """Places in the drawing, for `count` times and values up to `largest`."""

    def __init__(self, count: int, largest: float) -> None:
        self.step = (WIDTH - LEFT - RIGHT) / max(count, 1)
        self.unit = _unit(largest)
        self.top = self.unit * max(1, math.ceil(largest / self.unit))

    def x(self, at: int) -> float:
        return _short(LEFT + self.step * (at + 0.5))

    def y(self, value: float) -> float:
        return _short(TOP + (HEIGHT - TOP - BOTTOM) * (1 - value / self.top))


def _unit(largest: float) -> float:
    """A round distance (1, 2 or 5 times a power of ten) of which `STEPS` or more reach so far."""
    if largest < 1e-9:  # nothing; below it the quotient may be no number any more
        return 1.0
    raw = largest / STEPS
    power = 10.0 ** math.floor(math.log10(raw))
    return next(power * step for step in (1, 2, 5, 10) if power * step >= raw * 0.999)


def _chart(
    times: Sequence[str],
    values: Values,
    scale: _Scale,
    axis: Words,
    *,
    bars: Sequence[Bar] = (),
    drawn: Sequence[Line] = (),
) -> Chart:
    grid = []
    for number in range(round(scale.top / scale.unit) + 1):
        value = number * scale.unit
        grid.append((scale.y(value), axis(value)))
    every = max(1, math.ceil(len(times) / MOST_LABELS))
    labels = [(scale.x(at), time) for at, time in enumerate(times) if at % every == 0]
    return Chart(list(values), bars, drawn, grid, labels)


def _stretches(dots: Sequence[Dot | None]) -> list[str]:
    found: list[list[str]] = [[]]
    for dot in dots:
        if dot is not None:
            found[-1].append(f"{dot.x},{dot.y}")
        elif found[-1]:
            found.append([])
    return [" ".join(stretch) for stretch in found if len(stretch) > 1]


def _short(length: float) -> float:
    return round(length, 1)
