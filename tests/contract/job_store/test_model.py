"""The job store beside a model of it in plain Python, through every order of events.

A job ends once; a provider's limit holds; what was lost in mid-call is not called again unless it
asked for that; turns, queue positions, keys and attempts are the model's: after each step every row
is as the model has it.
"""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, event
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule, run_state_machine_as_test

from shared.domain import JobState
from shared.store import jobs, leases, providers
from shared.store.database import Database
from shared.store.schema import provider, worker
from tests.contract.job_store.machine import LIMITS, PROVIDERS, RETENTION, WORKERS, Claims
from tests.contract.job_store.model import Job
from tests.depth import bounded


class Machine(Claims):
    """What workers, owners and admins do besides."""

    @rule(who=st.sampled_from(WORKERS))
    def lease_runs_out(self, who: str) -> None:
        """Only suspect at first: whoever renews before the second lease is over lives on."""
        with self.database.write() as tx:
            tx.execute(sa.update(worker).where(worker.c.id == who).values(lease_until=0))
        assert list(self.store.sweep().workers) == sorted(self._unlisted())
        self.model.sweep((), self.now)
        with self.database.write() as tx:
            assert leases.renew(tx, who, seconds=60) is (who in self.model.alive)

    def _unlisted(self) -> set[str]:
        return {job.worker or "" for job in self.model.running()} - self.model.alive

    @rule(dead=st.sets(st.sampled_from(WORKERS), max_size=3))
    def sweep(self, dead: set[str]) -> None:
        dead &= self.model.alive
        for who in dead:
            self.store.kill(who)
        gone = dead | self._unlisted()
        before = {job.id for job in self.model.jobs.values() if job.live}
        swept = self.store.sweep()
        self.model.sweep(dead, self.now)
        assert set(swept.workers) == gone
        assert set(swept.ended) == before - {j.id for j in self.model.jobs.values() if j.live}
        if swept.requeued:
            event("requeued")

    @rule(who=st.sampled_from(WORKERS), releases=st.booleans())
    def worker_stops(self, who: str, releases: bool) -> None:
        with self.database.write() as tx:
            if releases:
                jobs.release_held(tx, who)
                self.model.release(who)
            leases.withdraw(tx, who)
        self.model.alive.discard(who)

    @precondition(lambda self: self.model.jobs)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        job = self._any(data)
        assert self.store.cancel(job.id) is job.live
        if job.live:
            job.end(JobState.CANCELLED, "cancelled", self.now)

    @precondition(lambda self: self.model.jobs)
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        job = self._any(data)
        if not job.live:
            with self.database.write() as tx:
                jobs.delete(tx, job.id)
            self.model.forget([job.id])

    @precondition(lambda self: self.model.jobs)
    @rule(data=st.data())
    def foreground_expires(self, data: st.DataObject) -> None:
        job = self._any(data)
        with self.database.write() as tx:
            jobs.expire_foreground(tx, [job.id], now=self.now, retention=RETENTION)
        self.model.expire_foreground([job.id], self.now)

    def _any(self, data: st.DataObject) -> Job:
        return self.model.jobs[data.draw(st.sampled_from(sorted(self.model.jobs)))]

    @rule()
    def purge(self) -> None:
        expected = self.model.purgeable(self.now)
        with self.database.write() as tx:
            assert jobs.purge(tx, now=self.now) == len(expected)
        self.model.forget(expected)

    @rule(
        name=st.sampled_from(PROVIDERS), limit=LIMITS, enabled=st.sampled_from([True, True, False])
    )
    def provider_changes(self, name: str, limit: int | None, enabled: bool) -> None:
        self.model.providers[name].limit = limit
        self.model.providers[name].enabled = enabled
        with self.database.write() as tx:
            tx.execute(
                sa.update(provider)
                .where(provider.c.id == name)
                .values(max_concurrency=limit, enabled=enabled, revision=provider.c.revision + 1)
            )

    @precondition(lambda self: len(self.model.jobs) > 3)
    @rule(name=st.sampled_from(PROVIDERS[1:]), at_once=st.booleans())
    def provider_is_deleted(self, name: str, at_once: bool) -> None:
        """By the registry, which ends what waits; a claim ends what it finds later."""
        with self.database.write() as tx:
            providers.delete(tx, name, at=self.now)
            if at_once:
                jobs.fail_of_deleted_provider(tx, name, now=self.now, retention=RETENTION)
        self.model.providers[name].deleted = True
        for job in self.model.queued() if at_once else ():
            if job.provider == name:
                job.end(JobState.FAILED, "provider_deleted", self.now)


@pytest.mark.parametrize("machine", [Claims, Machine], ids=["claims alone", "with all else"])
def test_the_store_does_what_the_model_does(database: Database, machine: type[Claims]) -> None:
    on = type("On", (machine,), {"database": database})
    few = bounded(8, stateful_step_count=25, suppress_health_check=list(HealthCheck))
    run_state_machine_as_test(on, settings=few)
