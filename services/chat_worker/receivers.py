"""How many webhooks are under way, to all receivers and to each: a slow one delays no other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final, TypeVar

T = TypeVar("T")

MOST: Final = 64  # under way at once
MOST_TO_ONE: Final = 8  # … at one receiver
QUICK: Final = 0.1  # seconds that a try is thought to take before one has ended
LONGEST_WAIT: Final = 60.0  # seconds until a delivery that found no place is looked at again
_REMEMBERED: Final = 1_000  # receivers


class Receivers:
    """Places for tries; a receiver is a host with its port. Times in seconds."""

    def __init__(self) -> None:
        self._under_way: Counter[str] = Counter()
        self._took: dict[str, float] = {}  # how long the last try took

    @property
    def free(self) -> int:
        """How many more tries may begin now, at receivers with a place of their own."""
        return MOST - self._under_way.total()

    def choose(
        self, waiting: Iterable[tuple[T, str]]
    ) -> tuple[Sequence[T], Sequence[tuple[T, float]]]:
        """Which of these, each with its receiver, may begin now, and how long the others wait.

        Those that wait for their own receiver are spread over the time that it will need; those
        that only found all places taken wait for the next free one.
        """
        begin: list[T] = []
        wait: list[tuple[T, float]] = []
        busy = self._under_way.copy()
        behind: Counter[str] = Counter()
        for one, receiver in waiting:
            if busy[receiver] >= MOST_TO_ONE:
                behind[receiver] += 1
                rounds = behind[receiver] / MOST_TO_ONE
                needed = QUICK + rounds * self._took.get(receiver, QUICK)
                wait.append((one, min(needed, LONGEST_WAIT)))
            elif len(begin) >= self.free:
                wait.append((one, 0.0))
            else:
                busy[receiver] += 1
                begin.append(one)
        return begin, wait

    def enter(self, receiver: str) -> None:
        """A try begins."""
        self._under_way[receiver] += 1

    def leave(self, receiver: str, *, took: float) -> None:
        """A try ended."""
        self._under_way[receiver] -= 1
        if not self._under_way[receiver]:
            del self._under_way[receiver]
        if len(self._took) >= _REMEMBERED:
            self._took.clear()
        self._took[receiver] = took
