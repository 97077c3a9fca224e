"""A store with many finished jobs, few live ones, and what is done to it all day."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import sqlalchemy as sa

from shared import ids
from shared.store import jobs, leases, providers
from shared.store.database import Database
from shared.store.jobs import ClaimedJob, NewJob, Retention
from shared.store.usage import HOUR
from tests.bulk import DAY, Bulk, Kind, fill, fill_keys, fill_queue, fill_trails
from tests.contract.job_store.conftest import new_provider

RETENTION = Retention(stored=7 * DAY, unstored=600.0)
OWNERS = ("ann", "bob", "cas", "dee", "eve")
WORKER = "wrk_of_test"
SEALED = 1_200  # characters
A_DAY = 1_200  # jobs


@dataclass
class Scene:
    """The store; `some` are ids of finished jobs, oldest first, `kinds` what providers offer."""

    database: Database
    now: float = field(default_factory=time.time)
    kinds: Sequence[Kind] = ()
    some: list[str] = field(default_factory=list)
    queued: list[str] = field(default_factory=list)
    running: Sequence[ClaimedJob] = ()

    def begin(self) -> None:
        """Register providers and keys, queue some jobs and start some."""
        self.kinds = [self._provider(f"p{number}") for number in range(20)]
        self._provider("rare")
        fill_keys(self.database, self._bulk(0, self.now, 1.0, seed=0))
        with self.database.write() as tx:
            leases.register(tx, WORKER, host="h", pid=1, seconds=600)
        self.submit(60)
        self.running = self.claim(30)
        held = {job.id for job in self.running}
        self.queued = [job_id for job_id in self.queued if job_id not in held]

    def grow(self, days: float, *, before: float) -> None:
        """Add the finished jobs of as many days, up to `before` days ago: 1,200 a day.

        A tenth as many events, and entries of the trail.
        """
        until = self.now // HOUR * HOUR - before * DAY
        bulk = self._bulk(int(days * A_DAY), until, days, seed=int(before * 10) + 1)
        self.some = [*self._fill(bulk), *self.some]
        fill_trails(self.database, bulk, bulk.jobs // 10)

    def analyze(self) -> None:
        """What PostgreSQL's autovacuum does within a minute; SQLite has nothing like it."""
        if not self.database.is_sqlite:
            with self.database.engine.connect() as connection:
                connection.execution_options(isolation_level="AUTOCOMMIT")
                connection.execute(sa.text("ANALYZE"))

    def expire(self, count: int) -> None:
        """Add jobs whose time is over, the same number whatever else there is."""
        self._fill(self._bulk(count, self.now - 20 * DAY, 1.0, seed=99))

    def _fill(self, bulk: Bulk) -> Sequence[str]:
        return fill(self.database, bulk, lambda plain, row, column: "x" * SEALED)

    def queue(self, count: int, *, seed: int) -> None:
        """Queue as many jobs, in the same fifty lanes."""
        bulk = Bulk(0, self.now, OWNERS[:3], self.kinds[:6], seed=seed)
        fill_queue(self.database, bulk, count, lambda plain, row, column: "x" * SEALED)

    def submit(self, count: int) -> None:
        """Queue jobs of two owners for two providers."""
        with self.database.write() as tx:
            for number in range(count):
                job = self.new_job(number)
                assert jobs.insert(tx, job)
                self.queued.append(job.id)

    def new_job(self, number: int = 0) -> NewJob:
        """A job that could be submitted."""
        kind = self.kinds[number % 2]
        return NewJob(
            id=ids.new(),
            owner=OWNERS[number % 3 % 2],
            key_id="key_ann",
            request_id=None,
            provider_id=kind.provider_id,
            model=kind.models[0],
            upstream_model="m",
            background=True,
            store=True,
            service_tier="default",
            metadata={"run": "live"},
            on_interrupt="fail",
            on_unavailable="wait",
            deadline=self.now + 3600,
            created_at=self.now,
            request_sealed="x" * SEALED,
            webhook_sealed="hook" if number % 10 == 0 else None,
        )

    def claim(self, want: int) -> Sequence[ClaimedJob]:
        """Take as many jobs."""
        with self.database.write() as tx:
            return jobs.claim(tx, worker_id=WORKER, want=want, now=self.now, retention=RETENTION)

    def _bulk(self, count: int, until: float, days: float, *, seed: int) -> Bulk:
        return Bulk(count, until, OWNERS, self.kinds, days=days, seed=seed)

    def _provider(self, slug: str) -> Kind:
        new = new_provider(slug, max_concurrency=1_000)
        with self.database.write() as tx:
            providers.create(tx, new)
        return Kind(new.id, (f"{slug}/one", f"{slug}/two"))
