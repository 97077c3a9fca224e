"""What a hostile campaign saw, judged as it comes: an hour of it does not fit into memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from tests.campaigns.checker import Finding
from tests.campaigns.hostile_judge import CANARY, job_faults, listing_faults, text_faults

DEADLINE: Final = "deadline_exceeded"  # how jobs end that waited for a provider
WAITING: Final = "waiting"


@dataclass(frozen=True, slots=True)
class Came:
    """What came of one call: `how` it was made, the seconds it took, the answer and its text."""

    name: str
    how: str
    took: float
    document: Mapping[str, Any]
    text: str


class Report:
    """The longest that a call, a job that may wait, and (p95) a good chat may take, in seconds."""

    def __init__(self, *, call: float, waiting: float, good: float) -> None:
        self.chats = 0
        self._longest = {WAITING: waiting}
        self._call = call
        self._good_p95 = good
        self._good: list[float] = []
        self._late = Finding("14", f"calls that took longer than {call:g} s")
        self._waited = Finding("14", f"jobs that waited longer than {waiting:g} s in all")
        self._why = Finding("14", "chats that did not end as they must, or do not say why")
        self._lists = Finding("14", "checks that did not end as they must, or do not say why")
        self._harm = Finding("14", "harm to the good provider beside them")
        self._leaked = Finding("15", "places that hold a provider's key")

    def chat(self, came: Came) -> None:
        """A chat with a hostile provider."""
        self.chats += 1
        waits = came.how == WAITING
        if came.took > self._longest.get(came.how, self._call):
            (self._waited if waits else self._late).broken.append(
                f"{came.name}, {came.how}: {came.took:.1f} s"
            )
        allowed = (DEADLINE,) if waits else ()
        faults = [*job_faults(came.name, came.document, allowed), *text_faults(came.text)]
        self._why.broken.extend(f"{came.name}, {came.how}: {fault}" for fault in faults)
        self.text(came.text)

    def listing(self, name: str, provider: Mapping[str, Any], ids: Sequence[str]) -> None:
        """What discovery says of a hostile provider, and the models that are listed."""
        faults = listing_faults(name, provider, ids)
        self._lists.broken.extend(f"{name} {fault}" for fault in faults)

    def unchecked(self, sentence: str) -> None:
        """Discovery did not get through."""
        self._lists.broken.append(sentence)

    def good(self, took: float, *faults: str) -> None:
        """A chat with the good provider, and what was wrong with it."""
        self._good.append(took)
        self._harm.broken.extend(faults)

    def text(self, text: str) -> None:
        """An answer that must not hold a key."""
        if CANARY in text:
            self._leaked.broken.append(text[:100])

    def leaks(self, places: Sequence[str]) -> None:
        """Files that hold a key."""
        self._leaked.broken.extend(places)

    def findings(self) -> list[Finding]:
        """All of them, with the figures of the good provider."""
        times = sorted(self._good)
        p95 = times[int(len(times) * 0.95)]
        self._harm.what += (
            f" ({len(times)} chats, p50 {times[len(times) // 2]:.3f} s, p95 {p95:.3f} s, "
            f"longest {times[-1]:.3f} s)"
        )
        if p95 > self._good_p95:
            self._harm.broken.append(f"a p95 beyond {self._good_p95:g} s")
        return [self._late, self._waited, self._why, self._lists, self._harm, self._leaked]
