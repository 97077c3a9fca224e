"""Compares what was accepted, what the jobs say, and what the upstream saw."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from tests.api import TERMINAL
from tests.campaigns.load import Accepted, Sighting
from tests.simulators import Calls

MAX_CALLS: Final = 3  # of one job with `on_interrupt: retry` (API.md section 6)
EXAMPLES: Final = 5


@dataclass(slots=True)
class Evidence:
    """All that a campaign leaves behind."""

    accepted: Sequence[Accepted]
    jobs: Mapping[str, Mapping[str, Any] | None]  # id → job at the end, None: not answered with 200
    first_seen: Mapping[str, Sighting]
    calls: Mapping[str, Calls]  # mark → calls at the upstream
    live_rows: int = 0  # rows of the job table that have not ended
    tolerated: Collection[str] = ("interrupted", "poisoned")  # codes that the faults explain
    texts: Mapping[str, str] = field(default_factory=dict)  # mark → answer; else `answer to <mark>`


@dataclass(slots=True)
class Finding:
    """One line of the report: `broken` must be empty."""

    promise: str
    what: str
    broken: list[str] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        return not self.broken


def check(evidence: Evidence) -> list[Finding]:
    """Promises 1 to 4, and that each answer belongs to its job."""
    lost = Finding("1", "accepted jobs that are lost")
    stuck = Finding("1", "accepted jobs that did not end")
    twice = Finding("2", "jobs whose end changed")
    paid = Finding("3", "jobs called twice without asking for it")
    repeated = Finding("4", f"jobs called more than {MAX_CALLS} times")
    wrong = Finding("-", "answers that are not the job's own, or that nobody gave")
    failed = Finding("-", "failures that the faults do not explain")
    for entry in evidence.accepted:
        job = evidence.jobs.get(entry.job_id)
        name = f"{entry.job_id} ({entry.mark})"
        if job is None:
            lost.broken.append(name)
        elif job["status"] not in TERMINAL:
            stuck.broken.append(f"{name} is {job['status']}, waiting for {job['waiting_for']}")
        else:
            last = Sighting.of(job)
            if (first := evidence.first_seen.get(entry.job_id, last)) != last:
                twice.broken.append(f"{name} was {first}, is {last}")
            answered = evidence.calls.get(entry.mark, Calls()).answered
            if last.status == "completed":
                expected = evidence.texts.get(entry.mark, f"answer to {entry.mark}")
                if last.content != expected or not answered:
                    wrong.broken.append(f"{name} says {last.content!r}, answered {answered} times")
            elif last.code not in evidence.tolerated:
                failed.broken.append(f"{name} is {last.status} with {last.code}: {job['error']}")
    for mark, calls in evidence.calls.items():
        if "-r-" in mark:
            if calls.begun > MAX_CALLS:
                repeated.broken.append(f"{mark}: {calls}")
        elif calls.begun > 1:
            paid.broken.append(f"{mark}: {calls}")
    if evidence.live_rows:
        stuck.broken.append(f"{evidence.live_rows} rows of the job table are live")
    return [lost, stuck, twice, paid, repeated, wrong, failed]


def ends(evidence: Evidence) -> Counter[str]:
    """How the accepted jobs ended: status, or code where failed → number."""
    return Counter(
        "lost" if job is None else (job["error"] or {}).get("code") or job["status"]
        for job in (evidence.jobs.get(entry.job_id) for entry in evidence.accepted)
    )


def table(findings: Sequence[Finding]) -> str:
    """The report: a line a finding, and examples of what is broken."""
    lines = []
    for finding in findings:
        verdict = "holds " if finding.holds else "BROKEN"
        lines.append(f"{verdict}  promise {finding.promise}: {finding.what}: {len(finding.broken)}")
        lines.extend(f"          {example}" for example in finding.broken[:EXAMPLES])
    return "\n".join(lines)
