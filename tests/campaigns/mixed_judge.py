"""What the chats of the mixed load show of promises 1 to 4, 6, 9, 10, 12 and 17."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from tests.campaigns.checker import Evidence, Finding, check
from tests.campaigns.faults import Fault
from tests.campaigns.load import Accepted, Refused, Sighting
from tests.campaigns.mixed_load import Chat
from tests.campaigns.readers import Reading
from tests.simulators import Calls

QUEUED_SECONDS: Final = 1.0  # promise 10: how long a cancel takes
CLOSED_SECONDS: Final = 2.0  # and how long its call stays open at most
SUBMIT_SECONDS: Final = 0.25  # promise 6: p99 while Valkey is away
RECOVERY_SECONDS: Final = 8.0  # after a fault that stops processes: boot, a lock that ended
INTERRUPTED: Final = ("interrupted", "poisoned")  # what a killed worker leaves
STOPS: Final = ("freeze chat-worker", "freeze registry", "kill", "restart")
# A frozen worker may hold the one lock of SQLite.
REGISTRY_STOPS: Final = (
    *("freeze chat-worker", "freeze registry", "restart registry"),
    *("kill registry", "kill one of the registries"),
)
# What a caller may be answered while the registry, or whoever holds the database, is away.
REFUSALS: Final = ("503 store_unavailable", "502 interrupted", "502 poisoned")


@dataclass(slots=True)
class Played:
    """All that the mixed campaign leaves behind. `patience` stretches what must be quick."""

    chats: Sequence[Chat]
    accepted: Sequence[Accepted]
    refused: Sequence[Refused]
    first_seen: Mapping[str, Sighting]
    jobs: Mapping[str, Mapping[str, Any] | None]
    calls: Mapping[str, Calls]
    live_rows: int
    faults: Sequence[Fault]
    calm_until: float  # until then workers and registry were only restarted in order
    replays: Mapping[str, Reading] = field(default_factory=dict)  # read after all had ended
    told: Mapping[str, Sequence[str]] = field(default_factory=dict)  # job → webhooks' types
    lists: Mapping[str, set[str]] = field(default_factory=dict)  # owner → ids that it is shown
    pried: int = 0
    seen_by_others: Sequence[str] = ()
    patience: float = 1.0
    all_told: bool = True  # whether webhooks were waited for that a killed worker had claimed


def judge(played: Played) -> list[Finding]:
    """Every finding; all must hold."""
    gone = {chat.mark for chat in played.chats if chat.gone}
    evidence = Evidence(
        accepted=[entry for entry in played.accepted if entry.mark not in gone],
        jobs=played.jobs,
        first_seen=played.first_seen,
        calls=played.calls,
        live_rows=played.live_rows,
        tolerated=(*INTERRUPTED, "cancelled"),
        texts={chat.mark: chat.text for chat in played.chats},
    )
    return [
        *check(evidence),
        *_streams(played),
        *_cancels(played),
        _restarts(played),
        _keys(played),
        _webhooks(played),
        _owners(played),
        _submits(played),
        _answers(played),
    ]


def _streams(played: Played) -> list[Finding]:
    order = Finding("-", "streams with a gap, a duplicate or a line that is none")
    text = Finding(
        "-", "streams whose text is not the stored one, or that did not end as their job"
    )
    for chat in played.chats:
        job = played.jobs.get(chat.job_id)
        if not chat.readings or job is None:
            continue
        status, code = job["status"], (job["error"] or {}).get("code")
        later = played.replays.get(chat.job_id)
        for reading in [*chat.readings, *([later] if later else [])]:
            name = f"{chat.mark} {chat.job_id}"
            order.broken += [f"{name}: {wrong}" for wrong in reading.wrong]
            ended = "done" if status == "completed" else code
            if reading.end != ended:
                text.broken.append(f"{name} is {status} {code}, its stream ended {reading.end}")
            elif status == "completed" and reading.text != chat.text:
                text.broken.append(f"{name}: {len(reading.text)} of {len(chat.text)} characters")
            elif not chat.text.startswith(reading.text):
                text.broken.append(f"{name} failed, and said {reading.text[-60:]!r}")
            # Of a job whose worker died no log was stored: its replay may end earlier.
            elif later and any(a != b for a, b in zip(later.chunks, reading.chunks, strict=False)):
                text.broken.append(f"{name}: its replay has other chunks")
    return [order, text]


def _cancels(played: Played) -> list[Finding]:
    wrong = Finding("10", "cancels and deletes that went wrong")
    slow = Finding("10", f"cancels that took more than {QUEUED_SECONDS:g} s")
    open_ = Finding("10", f"calls that were open more than {CLOSED_SECONDS:g} s after their cancel")
    late = Finding("10", "jobs that were cancelled before they ran, and ran")
    for chat in played.chats:
        job, calls = played.jobs.get(chat.job_id), played.calls.get(chat.mark, Calls())
        if chat.kind in "cd" and chat.job_id:
            wrong.broken += [f"{chat.mark}: {what}" for what in chat.wrong]
            if chat.gone and job is not None:
                wrong.broken.append(f"{chat.mark} {chat.job_id} is there again: {job['status']}")
            if chat.ended_at is not None and not _stopped(played, chat.ended_at):
                if chat.took is not None and chat.took > QUEUED_SECONDS * played.patience:
                    slow.broken.append(f"{chat.mark} {chat.took:.2f} s")
                if chat.closed is None or chat.closed > CLOSED_SECONDS * played.patience:
                    open_.broken.append(f"{chat.mark} {chat.closed} s")
        if job is not None and job["status"] == "cancelled":
            # A foreground call is cancelled by its hang-up, which the death of its registry is.
            hung_up = chat.kind == "s" and any(reading.drops for reading in chat.readings)
            if chat.kind != "c" and not hung_up:
                wrong.broken.append(f"nobody cancelled {chat.mark} {chat.job_id}")
            if job["started_at"] is None and calls.begun:
                late.broken.append(f"{chat.mark}: {calls}")
        if calls.in_flight:
            open_.broken.append(f"{chat.mark} is open after the end: {calls}")
    return [wrong, slow, open_, late]


def _stopped(played: Played, moment: float, names: tuple[str, ...] = STOPS) -> bool:
    """Whether a process was frozen, killed or started about then: nothing is measured there."""
    return any(
        fault.at - 1.0 <= moment + CLOSED_SECONDS and moment <= fault.until + RECOVERY_SECONDS
        for fault in played.faults
        if fault.what.startswith(names)
    )


def _restarts(played: Played) -> Finding:
    finding = Finding("9", "jobs that an orderly restart interrupted")
    for chat in played.chats:
        job = played.jobs.get(chat.job_id)
        # Whole seconds: it may have ended up to one later.
        if job is None or (job["completed_at"] or 2**40) + 1 > played.calm_until:
            continue
        code = (job["error"] or {}).get("code")
        if code in INTERRUPTED or (code == "cancelled" and chat.kind != "c"):
            finding.broken.append(f"{chat.mark} {chat.job_id}: {code}")
    for chat in played.chats:
        at, why = chat.refused or (played.calm_until, "")
        if at < played.calm_until and why.startswith("502"):
            finding.broken.append(f"{chat.mark}: {why}")
    return finding


def _keys(played: Played) -> Finding:
    finding = Finding("12", "keys with more than one job, or whose posts were refused")
    for chat in played.chats:
        if chat.kind != "i":
            continue
        refused = [why for why in chat.wrong if why not in REFUSALS]
        if len(chat.job_ids) > 1 or refused or not (chat.job_ids or chat.wrong):
            finding.broken.append(f"{chat.mark}: {sorted(chat.job_ids)} {chat.wrong}")
    return finding


def _webhooks(played: Played) -> Finding:
    finding = Finding("-", "webhooks that were not told, or told of another end")
    for chat in played.chats:
        told, job = played.told.get(chat.job_id, ()), played.jobs.get(chat.job_id)
        if job is None:
            continue
        if not chat.hooked:
            if told:
                finding.broken.append(f"{chat.mark} {chat.job_id} wanted none, got {told}")
        elif job["webhook"]["status"] == "pending" and not told and not played.all_told:
            continue
        elif set(told) != {f"chat.completion.{job['status']}"}:
            finding.broken.append(f"{chat.mark} is {job['status']}, {job['webhook']}, told {told}")
        elif job["webhook"]["status"] != "delivered" and played.all_told:
            finding.broken.append(f"{chat.mark} was told, and says {job['webhook']}")
    return finding


def _owners(played: Played) -> Finding:
    finding = Finding("17", f"looks at another's jobs ({played.pried}) not answered with a 404")
    finding.broken += played.seen_by_others
    for owner, shown in played.lists.items():
        stored = {
            chat.job_id: chat for chat in played.chats if chat.job_id and chat.kind not in "ps"
        }
        theirs = {job_id for job_id, chat in stored.items() if chat.owner == owner}
        foreign = {chat.job_id for chat in played.chats if chat.owner != owner} & shown
        finding.broken += [f"{owner} is shown {job_id}" for job_id in foreign]
        missing = {
            job_id
            for job_id in theirs - shown
            if played.jobs.get(job_id) and _stored(played, job_id)
        }
        finding.broken += [f"{owner} is not shown {job_id}" for job_id in missing]
    return finding


def _stored(played: Played, job_id: str) -> bool:
    job = played.jobs[job_id]
    return job is not None and bool(job["background"])


def _submits(played: Played) -> Finding:
    """Submissions while nothing but Valkey was away."""
    away = [fault for fault in played.faults if "valkey" in fault.what]
    took = sorted(
        entry.took
        for entry in played.accepted
        if any(fault.at <= entry.at <= fault.until for fault in away)
        and not _stopped(played, entry.at, REGISTRY_STOPS)
        and any(f"-{kind}-" in entry.mark for kind in "brcd")  # the answer waits for no provider
    )
    bound = SUBMIT_SECONDS * played.patience
    finding = Finding("6", f"submissions while Valkey is away ({len(took)}), p99 over {bound:g} s")
    if took and (p99 := took[int(len(took) * 0.99)]) > bound:
        finding.broken.append(f"{p99:.3f} s")
    return finding


def _answers(played: Played) -> Finding:
    finding = Finding("-", "refusals that the faults do not explain")
    finding.broken += [
        f"{entry.mark}: {entry.why}"
        for entry in played.refused
        if entry.why[:1].isdigit() and entry.why not in REFUSALS
    ]
    return finding
