"""Seconds of what was tried, by the name of the figure."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

ALLOWED: Final = 1.5  # times the figure with the fewest jobs


@dataclass(slots=True)
class Taken:
    """Tries of every figure; less is better in all of them."""

    tries: dict[str, list[float]] = field(default_factory=dict)

    def add(self, name: str, seconds: float) -> None:
        """One try."""
        self.tries.setdefault(name, []).append(seconds)

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Time the block."""
        began = time.perf_counter()
        yield
        self.add(name, time.perf_counter() - began)

    def median(self, name: str) -> float:
        """The median of a figure; of its slow tries where the name says p99."""
        tries = sorted(self.tries[name])
        return tries[int(len(tries) * 0.99)] if name.endswith("p99") else statistics.median(tries)


@dataclass(frozen=True, slots=True)
class Grown:
    """One figure at each number of jobs, in seconds.

    `why` is given for what may grow: by nature, or because it is bounded otherwise.
    """

    name: str
    by_size: Mapping[int, float]
    why: str = ""

    @property
    def factor(self) -> float:
        """The figure with the most jobs, by that with the fewest."""
        return self.by_size[max(self.by_size)] / self.by_size[min(self.by_size)]

    @property
    def holds(self) -> bool:
        """Whether it grew no more than is allowed."""
        return bool(self.why) or self.factor <= ALLOWED
