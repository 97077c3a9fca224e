"""What a scenario is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from benchmarks.scale import Scale
from benchmarks.stage import Stage


class Record(Protocol):
    """Notes one figure of the side that is being measured."""

    def __call__(self, name: str, value: float, unit: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Scenario:
    """One thing that is measured.

    `measure` gets the name of a side; it is called once for each in every pass, in turns.
    `text` says in a sentence what is done, with the sizes of this run in it. One that is `apart`
    takes too long to be done unasked, and has passes of its own: it is called once for each side.
    """

    name: str
    text: Callable[[Scale], str]
    sides: tuple[str, ...]
    measure: Callable[[Stage, str, Record], None]
    apart: bool = False
