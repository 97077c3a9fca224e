"""Times, states and others' texts as a terminal shows them."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import click

STYLES: Final[Mapping[str, str]] = {
    "ok": "green",
    "no_models_route": "green",
    "completed": "green",
    "skipped": "dim",
    "disabled": "dim",
    "cancelled": "dim",
    "pending": "yellow",
    "loading": "yellow",
    "queued": "yellow",
    "running": "yellow",
    "in_progress": "cyan",
}
_UNITS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
# What a terminal would obey: C0 but tab and line feed, DEL, C1, and what reverses text.
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def style_of(state: str) -> str:
    """The style of a state; whatever is not known to be well is told in red."""
    return STYLES.get(state, "red")


def safe(text: object) -> str:
    """The text without anything that a terminal would obey: names and answers are others'."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", str(text))


def escaped(text: str) -> str:
    """JSON in which the same is written as escapes."""
    return _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def one_line(text: object) -> str:
    """The text on one line."""
    return " ".join(safe(text).split())


def clock(moment: float | None) -> str:
    """A time in Unix seconds as the reader's clock shows it; `-` where there is none."""
    if moment is None:
        return "-"
    return datetime.fromtimestamp(moment).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def ago(moment: float | None, now: float | None = None) -> str:
    """How long ago or ahead a time in Unix seconds is; `-` where there is none."""
    if moment is None:
        return "-"
    elapsed = (time.time() if now is None else now) - moment
    if abs(elapsed) < 1:
        return "now"
    return f"{spelled(elapsed)} ago" if elapsed >= 0 else f"in {spelled(-elapsed)}"


def spelled(seconds: float) -> str:
    """A duration in its largest unit."""
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


def several(number: int, what: str) -> str:
    """A number of things, in words."""
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def duration(value: float | None) -> str:
    """Seconds as evidence shows them; `-` where they are not known."""
    if value is None:
        return "-"
    return f"{value:.2f} s" if value >= 1 else f"{value * 1000:.0f} ms"


def count(value: Any) -> str:
    """A number with its thousands apart; `-` where it is not known."""
    return f"{value:,}" if isinstance(value, int) else "-"


class Moment(click.ParamType[int]):
    """A time: `2026-11-22`, `2026-11-22T21:00`, Unix seconds, or `7d` before now (or `ahead`)."""

    name = "time"

    def __init__(self, *, ahead: bool = False) -> None:
        self._sign = 1 if ahead else -1

    def convert(self, value: Any, param: Any, ctx: Any) -> int:
        """Unix seconds; fails with what was expected."""
        text = str(value).strip()
        if text.isascii() and text.isdigit() and len(text) >= 9:
            return int(text)
        if (found := re.fullmatch(r"([0-9]{1,6})([smhdw])", text)) is not None:
            return int(time.time()) + self._sign * int(found[1]) * _UNITS[found[2]]
        try:
            return int(datetime.fromisoformat(text).timestamp())
        except ValueError:
            self.fail(
                "Expected a date, a time like 2026-11-22T21:00, Unix seconds, or a span like 7d "
                f"or 24h, got {text!r}.",
                param,
                ctx,
            )
