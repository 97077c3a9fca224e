"""Figures in templates: durations, counts and shares as people read them."""

from __future__ import annotations

from jinja2 import Environment

NONE = "\N{EN DASH}"


def install(templates: Environment) -> None:
    """Let these templates use the filters `seconds` and `count`."""
    templates.filters |= {"seconds": seconds, "count": count}


def seconds(value: float | None) -> str:
    """A duration in seconds: `45 ms`, `1.32 s`, `12.4 s`, `3 min 5 s`, `2 h 10 min`."""
    if value is None:
        return NONE
    if value < 0.0995:
        return f"{value * 1000:.0f} ms"
    if value < 9.995:
        return f"{value:.2f} s"
    if value < 59.95:
        return f"{value:.1f} s"
    whole = round(value)
    if whole < 3_600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3_600} h {whole % 3_600 // 60} min"


def count(value: float | None) -> str:
    """A whole number with its thousands apart; a dash where it is unknown."""
    return NONE if value is None else f"{value:,.0f}"
