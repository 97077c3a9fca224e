"""What a caller may be told while the database or Valkey is away: promises 6 and 7."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tests.campaigns.checker import Finding
from tests.campaigns.load import Accepted, Refused

if TYPE_CHECKING:
    from tests.campaigns.outages import Lasted

SUBMIT_SECONDS: Final = 0.25  # promise 6: p99 while Valkey is away
HONEST: Final = "503 store_unavailable"
SETTLED_SECONDS: Final = 0.3  # into an outage: what came before may still be under way
# A statement of whom nothing is heard ends after 15 s, the connection that follows after 5 s.
WAITED_SECONDS: Final = 25.0
ENOUGH_SECONDS: Final = 5.0  # of outages of Valkey
ENOUGH: Final = 20  # submissions of which a 99th is worth something


@dataclass(frozen=True, slots=True)
class Observed:
    """The outages, and every submission's answer. `patience` stretches what must be quick.

    With more than 1 the machine does other things, too: then calm submits are the measure.
    """

    lasted: Sequence[Lasted]
    accepted: Sequence[Accepted]
    refused: Sequence[Refused]
    patience: float = 1.0


def judge(observed: Observed) -> list[Finding]:
    """Each promise about outages."""
    return [
        _never_accepted(observed),
        _honest(observed),
        _waited(observed),
        _quick(observed),
        _resumed(observed),
    ]


def _during(lasted: Lasted, entry: Accepted | Refused) -> bool:
    """Whether it was asked and answered while this lasted."""
    since = max(lasted.since, lasted.at + SETTLED_SECONDS)
    return since <= entry.at and entry.at + entry.took <= lasted.until


def _touches(lasted: Lasted, entry: Accepted) -> bool:
    """Whether any part of it was while this lasted, or soon after."""
    return lasted.at <= entry.at + entry.took and entry.at <= lasted.until + SETTLED_SECONDS


def _p99(took: Sequence[float]) -> float:
    return sorted(took)[int(len(took) * 0.99)] if took else 0.0


def _of(observed: Observed, away: str) -> list[Lasted]:
    return [lasted for lasted in observed.lasted if lasted.away == away]


def _never_accepted(observed: Observed) -> Finding:
    finding = Finding("7", "submissions accepted while the database was away")
    finding.broken += [
        f"{entry.job_id} ({entry.mark}), {lasted.name}"
        for lasted in _of(observed, "database")
        for entry in observed.accepted
        if _during(lasted, entry)
    ]
    return finding


def _honest(observed: Observed) -> Finding:
    # A full disk leaves room for some commits: those are accepted, and all others honestly not.
    away = [*_of(observed, "database"), *_of(observed, "disk")]
    said = [
        (lasted, entry) for lasted in away for entry in observed.refused if _during(lasted, entry)
    ]
    slowest = max((entry.took for _, entry in said), default=0.0)
    what = f"refusals other than {HONEST} while the database or its disk was away"
    finding = Finding("7", f"{what} ({len(said)} were it, the slowest took {slowest:.1f} s)")
    finding.broken += [
        f"{entry.mark}: {entry.why}, {lasted.name}" for lasted, entry in said if entry.why != HONEST
    ]
    return finding


def _waited(observed: Observed) -> Finding:
    """Whoever asks while the database is away is told so, however that came to be."""
    bound = WAITED_SECONDS * observed.patience
    answers: list[Accepted | Refused] = [*observed.accepted, *observed.refused]
    finding = Finding("7", f"callers who waited over {bound:g} s while the database was away")
    finding.broken += [
        f"{entry.mark}: {entry.took:.1f} s, {lasted.name}"
        for lasted in _of(observed, "database")
        for entry in answers
        if lasted.at <= entry.at <= lasted.until and entry.took > bound
    ]
    return finding


def _quick(observed: Observed) -> Finding:
    away = _of(observed, "valkey")
    took, otherwise = [], []
    for entry in observed.accepted:
        if any(_during(lasted, entry) for lasted in away):
            took.append(entry.took)
        elif not any(_touches(lasted, entry) for lasted in observed.lasted):
            otherwise.append(entry.took)
    bound, p99 = SUBMIT_SECONDS * observed.patience, _p99(took)
    what = f"submissions while Valkey was away beyond {bound:g} s at p99"
    calm = f"{_p99(otherwise) * 1000:.0f} ms while nothing was"
    finding = Finding("6", f"{what} ({len(took)} took {p99 * 1000:.0f} ms, {calm})")
    # Where all outages were for a moment, what is left to say is that they were quick, or few.
    if sum(lasted.until - lasted.at for lasted in away) > ENOUGH_SECONDS and len(took) < ENOUGH:
        finding.broken.append(f"only {len(took)} were accepted")
    elif p99 > (max(bound, _p99(otherwise)) if observed.patience > 1 else bound):
        finding.broken.append(f"{p99:.3f} s")
    return finding


def _resumed(observed: Observed) -> Finding:
    took = [lasted.resumed for lasted in observed.lasted if lasted.resumed is not None]
    finding = Finding(
        "6", f"outages after which no work went on (the longest {max(took, default=0):.1f} s)"
    )
    finding.broken += [lasted.name for lasted in observed.lasted if lasted.resumed is None]
    return finding
