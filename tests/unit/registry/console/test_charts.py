"""Charts: what is drawn where, and what is left out."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.registry.console import charts
from services.registry.console.figures import count, seconds

DAYS = ["1 Nov", "2 Nov", "3 Nov"]
VALUES = st.lists(st.one_of(st.none(), st.floats(0, 1e12)), min_size=3, max_size=3)


def test_columns_stack_from_the_ground_up_in_proportion() -> None:
    chart = charts.columns(DAYS, {"a": [10, None, 5], "b": [30, 0, None]}, str, str)
    first, second, third = chart.bars
    assert (first.series, second.series, third.series) == (0, 1, 0)
    ground = charts.HEIGHT - charts.BOTTOM
    assert first.y + first.height == pytest.approx(ground, abs=0.2)
    assert second.y + second.height == pytest.approx(first.y, abs=0.2)
    assert second.height == pytest.approx(3 * first.height, abs=0.3)
    assert third.x > first.x
    assert second.title == "1 Nov: b 30"
    assert chart.names == ["a", "b"]


def test_lines_have_gaps_where_nothing_is_known() -> None:
    chart = charts.lines([*DAYS, "4 Nov"], {"a": [1, 2, None, 3], "b": [None] * 4}, str, str)
    (line,) = chart.lines
    (stretch,) = line.stretches
    assert len(stretch.split()) == 2  # the point behind the gap is a dot alone
    assert [dot.title for dot in line.dots] == ["1 Nov: a 1", "2 Nov: a 2", "4 Nov: a 3"]


def test_without_any_value_there_is_nothing_to_draw() -> None:
    assert charts.columns(DAYS, {}, str, str).empty
    assert charts.columns(DAYS, {"a": [None, 0, None]}, str, str).empty
    assert charts.lines(DAYS, {"a": [None, None, None]}, str, str).empty


@given(st.dictionaries(st.text(max_size=3), VALUES, max_size=4))
def test_everything_drawn_lies_inside_the_drawing_below_a_round_number(
    values: dict[str, list[float | None]],
) -> None:
    for chart in (
        charts.columns(DAYS, values, str, repr),
        charts.lines(DAYS, values, str, repr),
    ):
        for bar in chart.bars:
            assert charts.LEFT <= bar.x <= charts.WIDTH - charts.RIGHT - bar.width
            assert charts.TOP - 0.6 <= bar.y <= charts.HEIGHT - charts.BOTTOM
        for line in chart.lines:
            for dot in line.dots:
                assert charts.TOP - 0.1 <= dot.y <= charts.HEIGHT - charts.BOTTOM + 0.1
        assert 2 <= len(chart.grid) <= 7
        for _, told in chart.grid[1:]:
            assert re.match(r"[1-9]", f"{float(told):e}")


def test_the_times_below_the_axis_are_few() -> None:
    times = [str(day) for day in range(400)]
    chart = charts.columns(times, {"a": [1.0] * 400}, str, str)
    assert len(chart.bars) == 400
    assert len(chart.times) <= charts.MOST_LABELS


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (None, "\N{EN DASH}"),
        (0.0, "0 ms"),
        (0.0449, "45 ms"),
        (0.0999, "0.10 s"),
        (1.319, "1.32 s"),
        (9.996, "10.0 s"),
        (59.96, "1 min 0 s"),
        (185, "3 min 5 s"),
        (7_800, "2 h 10 min"),
    ],
)
def test_durations_have_three_figures_or_two_units(value: float | None, told: str) -> None:
    assert seconds(value) == told


def test_counts_have_their_thousands_apart() -> None:
    assert [count(value) for value in (None, 0, 1234567)] == ["\N{EN DASH}", "0", "1,234,567"]
