"""A store with a provider in it, and short words for what the tests do to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
import sqlalchemy as sa

from shared import ids
from shared.domain import JobState
from shared.store import jobs, leases, providers
from shared.store.database import Database
from shared.store.jobs import ClaimedJob, Evidence, GateEffect, Job, NewJob, Outcome, Retention
from shared.store.schema import chat_job, job_attempt, webhook_delivery

NOW = 1_795_000_000.0
RETENTION = Retention(stored=600.0, unstored=60.0)
HOOK = {"webhook_sealed": "sealed webhook"}


def new_provider(slug: str, **changes: Any) -> providers.Provider:
    """A provider that could be registered."""
    values: dict[str, Any] = {
        "id": ids.new(ids.PROVIDER),
        "name": slug,
        "slug": slug,
        "endpoint": "http://127.0.0.1:1",
        "chat_url": "http://127.0.0.1:1/v1/chat/completions",
        "models_url": "http://127.0.0.1:1/v1/models",
        "host": "127.0.0.1",
        "port": 1,
        "api_key_sealed": None,
        "api_key_last4": None,
        "api_key_fingerprint": None,
        "api_key_rotated_at": None,
        "description": "",
        "tags": [],
        "visibility": "everyone",
        "options": {},
        "max_concurrency": None,
        "enabled": True,
        "revision": 1,
        "created_at": NOW,
        "updated_at": NOW,
    }
    return providers.Provider(**values | changes)


@dataclass
class Store:
    """The job store as one worker and one registry use it, at a time that the test sets."""

    database: Database
    now: float = NOW
    worker: str = "wrk_one"
    provider_id: str = ""
    names: dict[str, str] = field(default_factory=dict)

    def add_provider(self, slug: str, **changes: Any) -> str:
        new = new_provider(slug, **changes)
        with self.database.write() as tx:
            providers.create(tx, new)
        return new.id

    def submit(self, **changes: Any) -> str:
        values: dict[str, Any] = {
            "id": ids.new(),
            "owner": "ann",
            "key_id": "key_1",
            "request_id": "req-1",
            "provider_id": self.provider_id,
            "model": "acme/m",
            "upstream_model": "m",
            "background": True,
            "store": True,
            "service_tier": "default",
            "metadata": {"run": "42"},
            "on_interrupt": "fail",
            "on_unavailable": "wait",
            "deadline": self.now + 3600,
            "created_at": self.now,
            "request_sealed": "sealed request",
        }
        job = NewJob(**values | changes)
        with self.database.write() as tx:
            accepted = jobs.insert(tx, job)
        return job.id if accepted else ""

    def claim(
        self, want: int = 10, worker: str | None = None, *, turn: str = ""
    ) -> Sequence[ClaimedJob]:
        """Claim as a worker that is entered and alive."""
        worker = worker or self.worker
        with self.database.write() as tx:
            if not leases.renew(tx, worker, seconds=60):
                leases.register(tx, worker, host="h", pid=1, seconds=60)
            return jobs.claim(
                tx,
                worker_id=worker,
                want=want,
                now=self.now,
                retention=RETENTION,
                turn=turn,
            )

    def finish(self, *outcomes: Outcome) -> set[str]:
        """The ids of the jobs whose claim still held."""
        with self.database.write() as tx:
            finished = jobs.finish(tx, outcomes, now=self.now, retention=RETENTION)
        return {job_id for job_id, _, _ in finished.held}

    def sweep(self) -> jobs.Swept:
        with self.database.write() as tx:
            return jobs.sweep(tx, now=self.now, retention=RETENTION)

    def kill(self, worker: str) -> None:
        """Make a worker look as if it had been silent for two leases."""
        with self.database.write() as tx:
            if not leases.renew(tx, worker, seconds=60):
                leases.register(tx, worker, host="h", pid=1, seconds=60)
            tx.execute(
                sa.text("UPDATE worker SET lease_until = 0, suspect_since = 0 WHERE id = :id"),
                {"id": worker},
            )

    def cancel(self, job_id: str) -> bool:
        with self.database.write() as tx:
            return jobs.cancel(tx, job_id, now=self.now, retention=RETENTION)

    def get(self, job_id: str, owner: str | None = None) -> Job:
        with self.database.read() as tx:
            job = jobs.get(tx, job_id, owner=owner)
        assert job is not None
        return job

    def state(self, job_id: str) -> JobState:
        return self.get(job_id).state

    def column(self, job_id: str, name: str) -> Any:
        with self.database.read() as tx:
            return tx.execute(
                sa.select(chat_job.c[name]).where(chat_job.c.id == job_id)
            ).scalar_one()

    def attempts(self, job_id: str) -> Sequence[Any]:
        with self.database.read() as tx:
            return tx.execute(
                sa.select(job_attempt)
                .where(job_attempt.c.job_id == job_id)
                .order_by(job_attempt.c.attempt)
            ).all()

    def deliveries(self) -> dict[str, Any]:
        """Every delivery, by its job."""
        with self.database.read() as tx:
            return {row.job_id: row for row in tx.execute(sa.select(webhook_delivery))}


def outcome_of(job: ClaimedJob, state: JobState = JobState.COMPLETED, **changes: Any) -> Outcome:
    """How a claim ended."""
    values: dict[str, Any] = {
        "job_id": job.id,
        "worker_id": job.worker_id,
        "attempt": job.attempt,
        "state": state,
        "evidence": Evidence(
            chat_url=job.target.chat_url,
            key_fingerprint=None,
            provider_revision=job.target.revision,
            started_at=NOW,
            ended_at=NOW + 1,
            calls=1,
            outcome="completed",
            sent=True,
        ),
        "account": job.account,
    }
    return Outcome(**values | changes)


def refused(store: Store, *, at: float, retry_after: float | None = None) -> GateEffect:
    """What a call that could not connect, or was told to come later, showed."""
    cause = "upstream_unreachable"
    return GateEffect(store.provider_id, 1, at, cause=cause, retry_after=retry_after)


@pytest.fixture
def store(database: Database) -> Store:
    """A store with one provider, `acme`."""
    store = Store(database)
    store.provider_id = store.add_provider("acme")
    return store
