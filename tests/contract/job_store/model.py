"""What the job store must do, in plain Python: no index, no lock, no statement.

Gates are not modelled: a claim is told what is written of them, and must keep to it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from shared.domain import MAX_CALLS, MAX_LOSSES, TERMINAL, JobState
from shared.store.jobs.lanes import SUSPECT_LOSSES, TIERS
from shared.store.jobs.sweep import FORGOTTEN_AFTER

STORED, UNSTORED = 600.0, 60.0  # seconds that results are kept

FLAGS = ("retry", "waits", "store", "webhook", "background")

Fence = tuple[str, str, int]


@dataclass
class Provider:
    """What decides who may be called; `limit` None means no limit."""

    limit: int | None = None
    enabled: bool = True
    deleted: bool = False


@dataclass
class Job:
    """One row."""

    id: str
    owner: str
    provider: str
    tier: str
    deadline: float
    key: str | None
    flags: frozenset[str]  # of `FLAGS`
    state: JobState = JobState.QUEUED
    worker: str | None = None
    attempt: int = 0
    calls: int = 0
    interrupts: int = 0
    losses: int = 0
    not_before: float = 0.0
    publishing: bool = False
    code: str | None = None
    completed_at: float | None = None
    expires_at: float | None = None

    @property
    def retry(self) -> bool:
        return "retry" in self.flags

    @property
    def waits(self) -> bool:
        return "waits" in self.flags

    @property
    def store(self) -> bool:
        return "store" in self.flags

    @property
    def webhook(self) -> bool:
        return "webhook" in self.flags

    @property
    def live(self) -> bool:
        return self.state not in TERMINAL

    @property
    def fence(self) -> Fence:
        return self.id, self.worker or "", self.attempt

    def end(self, state: JobState, code: str | None, now: float) -> None:
        assert self.live, "a job ends once"
        self.state, self.code, self.completed_at = state, code, now
        self.expires_at = now + (STORED if self.store else UNSTORED)


@dataclass(frozen=True)
class Gate:
    """What a claim is told of a closed gate: whether a waiting job may try it."""

    probe_allowed: bool


@dataclass
class Model:
    """Everything there is, and what may be done with it."""

    providers: dict[str, Provider] = field(default_factory=dict)
    jobs: dict[str, Job] = field(default_factory=dict)
    attempts: set[tuple[str, int]] = field(default_factory=set)
    alive: set[str] = field(default_factory=set)  # workers that are listed

    def running(self, provider: str | None = None) -> list[Job]:
        return [
            job
            for job in self.jobs.values()
            if job.state is JobState.IN_PROGRESS and provider in (None, job.provider)
        ]

    def queued(self) -> list[Job]:
        jobs = (job for job in self.jobs.values() if job.state is JobState.QUEUED)
        return sorted(jobs, key=lambda job: job.id)

    def submit(self, job: Job) -> bool:
        """A deleted or disabled provider takes nothing, a key in use makes nothing."""
        provider = self.providers[job.provider]
        taken = job.key is not None and any(
            (other.owner, other.key) == (job.owner, job.key) for other in self.jobs.values()
        )
        if provider.deleted or not provider.enabled or taken:
            return False
        self.jobs[job.id] = job
        return True

    def claim(self, worker: str, ids: Iterable[str], now: float) -> None:
        """These were taken, of those that a claim ends before it looks none."""
        self.alive.add(worker)
        for job in self.queued():
            if self.providers[job.provider].deleted:
                job.end(JobState.FAILED, "provider_deleted", now)
        for job in map(self.jobs.__getitem__, ids):
            assert job.state is JobState.QUEUED, "a job is claimed by one worker"
            job.state, job.worker = JobState.IN_PROGRESS, worker
            job.attempt += 1
            job.calls += 1
        suspects = [job for job in self.running() if job.losses >= SUSPECT_LOSSES]
        assert len(suspects) <= 1, "suspects run one at a time"

    def chosen(self, want: int, now: float, turn: str, gates: Mapping[str, Gate]) -> list[str]:
        """The ids that a claim takes, in their order (DESIGN.md section 5.4)."""
        suspect_runs = any(job.losses >= SUSPECT_LOSSES for job in self.running())
        chosen: list[Job] = []
        probed: set[str] = set()

        def may(job: Job) -> bool:
            provider = self.providers[job.provider]
            if provider.deleted or not provider.enabled:
                return False
            if job.not_before > now or job.deadline <= now:
                return False
            suspect = job.losses >= SUSPECT_LOSSES
            if suspect and (suspect_runs or any(c.losses >= SUSPECT_LOSSES for c in chosen)):
                return False
            taken = sum(1 for other in chosen if other.provider == job.provider)
            calls = len(self.running(job.provider)) + taken
            if provider.limit is not None and calls >= provider.limit:
                return False
            gate = gates.get(job.provider)
            if gate is None or not job.waits:
                return True
            return gate.probe_allowed and job.provider not in probed

        for tier in TIERS:
            waiting = [job for job in self.queued() if job.tier == tier]
            owners = sorted({job.owner for job in waiting}, key=lambda name: (name <= turn, name))
            while owners and len(chosen) < want:
                for owner in tuple(owners):
                    # Who was passed over once is not looked at again: nothing gets freer here.
                    mine = [job for job in waiting if job.owner == owner and may(job)]
                    if not mine:
                        owners.remove(owner)
                        continue
                    waiting.remove(mine[0])
                    if mine[0].provider in gates and mine[0].waits:
                        probed.add(mine[0].provider)
                    chosen.append(mine[0])
                    if len(chosen) == want:
                        break
        return [job.id for job in chosen]

    def holds(self, fence: Fence) -> bool:
        job = self.jobs.get(fence[0])
        return job is not None and job.state is JobState.IN_PROGRESS and job.fence == fence

    def finish(
        self,
        fence: Fence,
        state: JobState,
        *,
        code: str | None,
        now: float,
        extra_calls: int = 0,
        interrupted: bool = False,
        not_before: float = 0.0,
    ) -> bool:
        """Whether the claim held; its attempt is written in any case, once."""
        if fence[0] in self.jobs:
            self.attempts.add((fence[0], fence[2]))
        if not self.holds(fence):
            return False
        job = self.jobs[fence[0]]
        job.calls += extra_calls
        if state is JobState.QUEUED:
            job.state, job.worker, job.publishing = state, None, False
            job.interrupts += interrupted
            job.not_before = not_before
        else:
            job.end(state, code, now)
        return True

    def sweep(self, dead: Iterable[str], now: float) -> None:
        """Jobs of dead and of unlisted workers, then deadlines."""
        gone = set(dead) | ({job.worker or "" for job in self.running()} - self.alive)
        self.alive -= gone
        for job in self.running():
            if job.worker not in gone:
                continue
            job.losses += 1
            if job.losses >= MAX_LOSSES:
                job.end(JobState.FAILED, "poisoned", now)
            elif job.retry and not job.publishing and job.interrupts + 1 < MAX_CALLS:
                job.interrupts += 1
                job.state, job.worker = JobState.QUEUED, None
            else:
                job.end(JobState.FAILED, "interrupted", now)
        for job in self.queued():
            if job.deadline <= now:
                job.end(JobState.FAILED, "deadline_exceeded", now)
        for job in self.running():
            if job.deadline < now - FORGOTTEN_AFTER:
                job.losses += 1
                job.end(JobState.FAILED, "deadline_exceeded", now)

    def release(self, worker: str) -> None:
        """A worker that stops hands back what it never began."""
        for job in self.running():
            if job.worker == worker:
                job.state, job.worker, job.calls = JobState.QUEUED, None, job.calls - 1

    def expire_foreground(self, ids: Iterable[str], now: float) -> None:
        for job in (self.jobs[id_] for id_ in ids):
            if job.live and job.deadline < now:
                job.end(JobState.FAILED, "deadline_exceeded", now)

    def forget(self, ids: Iterable[str]) -> None:
        for id_ in tuple(ids):
            del self.jobs[id_]
            self.attempts = {attempt for attempt in self.attempts if attempt[0] != id_}

    def purgeable(self, now: float) -> list[str]:
        """What is past its time; jobs whose webhook nobody has delivered stay."""
        return [
            job.id
            for job in self.jobs.values()
            if job.expires_at is not None and job.expires_at <= now and not job.webhook
        ]
