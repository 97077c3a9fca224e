"""Whether memory stayed flat: each process right after the warm-up and at the end, promise 22.

The resident set is judged. The proportional one is told beside it: it also grows when any other
program of the machine that shared a library has ended.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from tests.campaigns.checker import Finding

MOST_GROWTH: Final = 0.05
WARM_UP: Final = 0.25  # of the time: pools and caches fill, and the first short-lived rows go
WINDOW: Final = 0.1  # of the time
FEWEST: Final = 3  # samples of a window
OTHERS: Final = ("valkey",)  # its figures are told, but the promise is about Dragoman's processes
MIB: Final = 2**20


@dataclass(frozen=True, slots=True)
class Memory:
    """One process at one moment, in bytes; where the machine tells no PSS it is 0."""

    pid: int
    rss: int
    pss: int = 0


@dataclass(frozen=True, slots=True)
class Sample:
    """All processes by their roles; `at` is in seconds since the load began."""

    at: float
    processes: Mapping[str, Memory]


@dataclass(frozen=True, slots=True)
class Course:
    """One role's medians in bytes: of the window after the warm-up, and of the last one."""

    role: str
    before: Memory
    after: Memory

    @property
    def growth(self) -> float:
        """Of the resident set, as a share of what it was."""
        return self.after.rss / self.before.rss - 1

    def __str__(self) -> str:
        pss = f"PSS {self.before.pss / MIB:.1f} → {self.after.pss / MIB:.1f}"
        rss = f"RSS {self.before.rss / MIB:.1f} → {self.after.rss / MIB:.1f}"
        return f"{self.role} {rss} MiB ({self.growth:+.1%}), {pss}"


def windows(samples: Sequence[Sample], seconds: float) -> tuple[list[Sample], list[Sample]]:
    """The samples of the tenth right after the warm-up, and of the last tenth."""
    first, last = WARM_UP * seconds, (1 - WINDOW) * seconds
    before = [one for one in samples if first <= one.at < first + WINDOW * seconds]
    return before, [one for one in samples if last <= one.at]


def courses(samples: Sequence[Sample], *, seconds: float) -> list[Course]:
    """Each role that is in both windows, by name."""
    before, after = windows(samples, seconds)
    known = _roles(before) & _roles(after)
    return [Course(role, _median(before, role), _median(after, role)) for role in sorted(known)]


def judge(samples: Sequence[Sample], *, seconds: float, most: float = MOST_GROWTH) -> list[Finding]:
    """What the samples of a run of `seconds` show; `most` is the greatest growth that holds."""
    enough = Finding("22", f"windows with fewer than {FEWEST} samples of memory")
    for name, window in zip(
        ("after the warm-up", "the last"), windows(samples, seconds), strict=True
    ):
        if len(window) < FEWEST:
            enough.broken.append(f"{name}: {len(window)} of {len(samples)} samples")
    findings = [enough, _lived(samples)]
    for course in courses(samples, seconds=seconds):
        if course.role in OTHERS:
            continue
        finding = Finding("22", f"growth of more than {most:.0%}: {course}")
        if course.growth > most:
            finding.broken.append(f"{course.growth:+.1%}")
        findings.append(finding)
    return findings


def _lived(samples: Sequence[Sample]) -> Finding:
    """Nothing is killed here: whoever was replaced or is missing has no course to judge."""
    finding = Finding("22", "processes that did not live through the whole run")
    for role in sorted(_roles(samples)):
        there = [one.processes[role] for one in samples if role in one.processes]
        pids = list(dict.fromkeys(memory.pid for memory in there))
        if len(pids) > 1:
            finding.broken.append(f"{role} was {', then '.join(map(str, pids))}")
        elif len(there) < len(samples):
            finding.broken.append(f"{role} is in {len(there)} of {len(samples)} samples")
    return finding


def _roles(samples: Sequence[Sample]) -> set[str]:
    return {role for one in samples for role in one.processes}


def _median(window: Sequence[Sample], role: str) -> Memory:
    there = [one.processes[role] for one in window if role in one.processes]
    return Memory(
        there[-1].pid,
        round(statistics.median(memory.rss for memory in there)),
        round(statistics.median(memory.pss for memory in there)),
    )
