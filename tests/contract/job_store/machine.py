"""Jobs and claims as a Hypothesis state machine, and what must hold after each of its steps."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from hypothesis import event
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    rule,
)

from shared.domain import JobState
from shared.store import jobs, providers
from shared.store.database import Database
from shared.store.jobs import ClaimedJob, GateEffect, Retention
from shared.store.jobs.lanes import SUSPECT_LOSSES, TIERS
from shared.store.schema import (
    chat_job,
    job_attempt,
    provider,
    provider_gate,
    webhook_delivery,
    worker,
)
from tests.contract.job_store.conftest import Store, new_provider, outcome_of
from tests.contract.job_store.model import STORED, UNSTORED, Gate, Job, Model, Provider

RETENTION = Retention(STORED, UNSTORED)
WORKERS, OWNERS, PROVIDERS = ("w1", "w2", "w3"), ("ann", "ben", "cat"), ("p1", "p2", "p3")
TABLES = (job_attempt, webhook_delivery, chat_job, provider_gate, provider, worker)
LIMITS = st.none() | st.integers(1, 3)


class Claims(RuleBasedStateMachine):
    """`database` is set by the test; every example begins with empty tables."""

    database: Database
    claims: Bundle[ClaimedJob] = Bundle("claims")

    def __init__(self) -> None:
        super().__init__()
        self.store = Store(self.database)
        self.model = Model()
        self.turn = ""
        self.made = 0

    @initialize(limits=st.tuples(LIMITS, LIMITS, LIMITS))
    def begin(self, limits: tuple[int | None, ...]) -> None:
        with self.database.write() as tx:
            for table in TABLES:
                tx.execute(sa.delete(table))
            for name, limit in zip(PROVIDERS, limits, strict=True):
                providers.create(tx, new_provider(name, id=name, max_concurrency=limit))
                self.model.providers[name] = Provider(limit)

    @property
    def now(self) -> float:
        return self.store.now

    @rule(seconds=st.sampled_from([0.5, 1, 5, 61, 700, 1000]))
    def time_passes(self, seconds: float) -> None:
        self.store.now += seconds

    @rule(
        owner=st.sampled_from(OWNERS),
        at=st.sampled_from(PROVIDERS),
        tier=st.sampled_from(TIERS),
        seconds=st.sampled_from([2, 100, 5000]),
        key=st.none() | st.sampled_from(["k1", "k2"]),
        flags=st.sets(st.sampled_from(["retry", "waits", "store", "webhook", "background"])),
        count=st.integers(1, 3),
    )
    def submit(
        self,
        owner: str,
        at: str,
        tier: str,
        seconds: float,
        key: str | None,
        flags: set[str],
        count: int,
    ) -> None:
        for _ in range(count):
            self.made += 1
            job = Job(
                id=f"{self.made:026d}",
                owner=owner,
                provider=at,
                tier=tier,
                deadline=self.now + seconds,
                key=key,
                retry="retry" in flags,
                waits="waits" in flags,
                store="store" in flags,
                webhook="webhook" in flags,
                background="background" in flags,
            )
            accepted = self.store.submit(
                id=job.id,
                owner=owner,
                provider_id=at,
                service_tier=tier,
                deadline=job.deadline,
                idempotency_key=key,
                body_fingerprint=key and "body",
                on_interrupt="retry" if job.retry else "fail",
                on_unavailable="wait" if job.waits else "fail",
                store=job.store,
                webhook_sealed="sealed" if job.webhook else None,
                background=job.background,
            )
            assert bool(accepted) is self.model.submit(job)

    @rule(target=claims, who=st.sampled_from(WORKERS), want=st.integers(1, 6))
    def claim(self, who: str, want: int) -> Any:
        gates = self._gates()
        suspects = sum(job.losses >= SUSPECT_LOSSES for job in self.model.queued())
        expected = self.model.chosen(want, self.now, self.turn, gates)
        taken = list(self.store.claim(want, who, turn=self.turn))
        ids = [job.id for job in taken]
        if suspects <= 1:  # of those behind a second one, some may wait for the next claim
            assert ids == expected
        self.model.claim(who, ids, self.now)
        for job in taken:
            limit = self.model.providers[job.target.id].limit
            assert limit is None or len(self.model.running(job.target.id)) <= limit
            assert self.model.jobs[job.id].fence == job.fence
        if taken:
            self.turn = taken[-1].owner
            event("claimed")
        return multiple(*taken)

    def _gates(self) -> dict[str, Gate]:
        with self.database.read() as tx:
            rows = tx.execute(
                sa.select(provider_gate, provider.c.revision).join(
                    provider, provider.c.id == provider_gate.c.provider_id
                )
            ).all()
        return {
            row.provider_id: Gate(
                row.closed_until <= self.now
                and not any(job.id == row.probe_job for job in self.model.running())
            )
            for row in rows
            if row.reason is not None and row.provider_revision == row.revision
        }

    @rule(
        ended=st.lists(consumes(claims), min_size=1, max_size=3, unique_by=lambda job: job.fence),
        ends=st.lists(
            st.sampled_from(["completed", "failed", "away", "none"]), min_size=3, max_size=3
        ),
        extra=st.integers(0, 2),
    )
    def finish(self, ended: list[ClaimedJob], ends: list[str], extra: int) -> None:
        """Claims end, held or not, several in one transaction."""
        outcomes, expected = [], set()
        for job, end in zip(ended, ends, strict=False):
            state = {"completed": JobState.COMPLETED, "failed": JobState.FAILED}.get(
                end, JobState.QUEUED
            )
            code = None if end == "completed" else "upstream_unreachable"
            more: dict[str, Any] = {"extra_calls": -1 if end == "none" else extra}
            if state is JobState.QUEUED:
                more["not_before"] = self.now + extra
            gate = GateEffect(job.target.id, job.target.revision, self.now, cause=code)
            outcomes.append(
                outcome_of(
                    job, state, error_code=code, gate=None if end == "none" else gate, **more
                )
            )
            if self.model.finish(job.fence, state, code=code, now=self.now, **more):
                expected.add(job.id)
        assert self.store.finish(*outcomes) == expected

    @rule(job=claims)
    def interrupted(self, job: ClaimedJob) -> None:
        """A connection that was lost in mid-call: again where it was asked for, else the end."""
        again = job.on_interrupt == "retry" and job.interrupts < 2 and not job.publishing
        state = JobState.QUEUED if again else JobState.FAILED
        more: dict[str, Any] = {"interrupted": again}
        outcome = outcome_of(job, state, error_code="interrupted", **more)
        held = self.model.finish(job.fence, state, code="interrupted", now=self.now, **more)
        assert bool(self.store.finish(outcome)) is held

    @rule(told=st.lists(claims, min_size=1, max_size=3))
    def publish(self, told: list[ClaimedJob]) -> None:
        fences = {job.fence for job in told}
        with self.database.write() as tx:
            held = jobs.publish(tx, fences)
        assert held == {fence for fence in fences if self.model.holds(fence)}
        for job_id, _, _ in held:
            self.model.jobs[job_id].publishing = True

    @rule(at=st.sampled_from(PROVIDERS))
    def positions(self, at: str) -> None:
        waiting = [job for job in self.model.queued() if job.provider == at]
        with self.database.read() as tx:
            found = [jobs.queue_position(tx, self.store.get(job.id)) for job in waiting]
        assert found == list(range(1, len(waiting) + 1))

    @invariant()
    def every_row_is_as_the_model_has_it(self) -> None:
        columns = ("state", "attempt", "calls", "losses", "interrupts", "worker_id", "publishing")
        ends = ("error_code", "completed_at", "expires_at")
        with self.database.read() as tx:
            rows = tx.execute(
                sa.select(chat_job.c.id, *(chat_job.c[name] for name in (*columns, *ends)))
            ).all()
            attempts = tx.execute(sa.select(job_attempt.c.job_id, job_attempt.c.attempt)).all()
            hooked = set(tx.execute(sa.select(webhook_delivery.c.job_id)).scalars())
            held = {fence for who in WORKERS for fence in jobs.held_by(tx, who)}
        found = {row.id: tuple(row[1:]) for row in rows}
        assert found == {
            job.id: (
                *(job.state.value, job.attempt, job.calls, job.losses, job.interrupts),
                *(job.worker, job.publishing, job.code, job.completed_at, job.expires_at),
            )
            for job in self.model.jobs.values()
        }
        assert {tuple(row) for row in attempts} == self.model.attempts
        assert hooked == {j.id for j in self.model.jobs.values() if j.webhook and not j.live}
        assert held == {job.fence for job in self.model.running()}
