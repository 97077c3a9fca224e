"""Jobs and claims as a Hypothesis state machine, and what must hold after each of its steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

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
from tests.contract.job_store.model import FLAGS, STORED, UNSTORED, Gate, Job, Model, Provider

RETENTION = Retention(STORED, UNSTORED)
WORKERS, OWNERS, PROVIDERS = ("w1", "w2", "w3"), ("ann", "ben", "cat"), ("p1", "p2", "p3")
TABLES = (job_attempt, webhook_delivery, chat_job, provider_gate, provider, worker)
LIMITS = st.none() | st.integers(1, 3)


class Wish(NamedTuple):
    """What is asked of a new job."""

    owner: str
    provider: str
    tier: str
    seconds: float
    key: str | None
    flags: frozenset[str]


WISHES = st.builds(
    Wish,
    owner=st.sampled_from(OWNERS),
    provider=st.sampled_from(PROVIDERS),
    tier=st.sampled_from(("default", *TIERS)),
    seconds=st.sampled_from([5000, 100, 2]),
    key=st.none() | st.sampled_from(["k1", "k2"]),
    flags=st.frozensets(st.sampled_from(FLAGS)),
)


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

    @initialize(
        limits=st.tuples(LIMITS, LIMITS, LIMITS), wishes=st.lists(WISHES, min_size=4, max_size=9)
    )
    def begin(self, limits: tuple[int | None, ...], wishes: list[Wish]) -> None:
        with self.database.write() as tx:
            for table in TABLES:
                tx.execute(sa.delete(table))
            for name, limit in zip(PROVIDERS, limits, strict=True):
                providers.create(tx, new_provider(name, id=name, max_concurrency=limit))
                self.model.providers[name] = Provider(limit)
        for wish in wishes:
            self._submit(wish)

    @property
    def now(self) -> float:
        return self.store.now

    @rule(seconds=st.sampled_from([0.5, 1, 5, 61, 700, 1000]))
    def time_passes(self, seconds: float) -> None:
        self.store.now += seconds

    @rule(wish=WISHES, count=st.integers(1, 3))
    def submit(self, wish: Wish, count: int) -> None:
        for _ in range(count):
            self._submit(wish)

    def _submit(self, wish: Wish) -> None:
        self.made += 1
        job = Job(
            id=f"{self.made:026d}",
            owner=wish.owner,
            provider=wish.provider,
            tier=wish.tier,
            deadline=self.now + wish.seconds,
            key=wish.key,
            flags=wish.flags,
        )
        accepted = self.store.submit(
            id=job.id,
            owner=job.owner,
            provider_id=job.provider,
            service_tier=job.tier,
            deadline=job.deadline,
            idempotency_key=job.key,
            body_fingerprint=job.key and "body",
            on_interrupt="retry" if job.retry else "fail",
            on_unavailable="wait" if job.waits else "fail",
            store=job.store,
            webhook_sealed="sealed" if job.webhook else None,
            background="background" in job.flags,
        )
        assert bool(accepted) is self.model.submit(job)

    @rule(
        target=claims,
        asked=st.lists(
            st.tuples(st.sampled_from(WORKERS), st.sampled_from([1, 2, 3, 8])),
            min_size=1,
            max_size=4,
        ),
    )
    def claim(self, asked: list[tuple[str, int]]) -> Any:
        """Several workers, one after the other."""
        return multiple(*(job for who, want in asked for job in self._claim(who, want)))

    def _claim(self, who: str, want: int) -> Sequence[ClaimedJob]:
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
        return taken

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
