"""A bench for webhooks: a store whose clock the test sets, a receiver, the thread that delivers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa

from services.chat_worker.deliveries import TRY_BOUNDS, Deliveries
from services.chat_worker.figures import Figures
from shared import webhooks
from shared.crypto import Sealer
from shared.keyring import Keyring
from shared.store import jobs
from shared.store.database import Database
from shared.store.jobs import Job
from shared.store.schema import chat_job
from shared.telemetry import Secret
from shared.upstream import Bounds
from shared.upstream.addresses import LOOPBACK
from shared.upstream.policy import OutboundPolicy
from shared.webhooks import Webhook
from tests.contract.job_store.conftest import Store, outcome_of
from tests.eventually import eventually
from tests.simulators import Running
from tests.webhook_receiver import SECRET, Receiver

OPEN = OutboundPolicy(allowed=LOOPBACK)
SHORT = Bounds(connect=0.4, first_byte=0.4, idle=0.4, total=0.4)


def hook(database: Database, sealer: Sealer, job_id: str, url: str) -> None:
    """Give a job a webhook, as the registry does when it is submitted with one."""
    plain = webhooks.packed(Webhook(url, Secret(SECRET)))
    sealed = sealer.seal(plain, table=jobs.TABLE, row=job_id, column=jobs.WEBHOOK)
    change = sa.update(chat_job).where(chat_job.c.id == job_id).values(webhook_sealed=sealed)
    with database.write() as tx:
        tx.execute(change)


class FlakyDatabase(Database):
    """Takes no writes while `away`."""

    away = False
    refused = 0

    @contextmanager
    def write(self) -> Iterator[sa.Connection]:
        if self.away:
            self.refused += 1
            raise sa.exc.OperationalError("", {}, Exception("away"))
        with super().write() as tx:
            yield tx


class Post(Store):
    """A store whose clock the test sets, one receiver, and the thread that delivers."""

    def __init__(self, database: FlakyDatabase, served: Running) -> None:
        super().__init__(database)
        self.flaky = database
        self.served = served
        self.sealer = Sealer(Keyring.generate())
        self.provider_id = self.add_provider("acme")
        self.started: list[Deliveries] = []

    @property
    def receiver(self) -> Receiver:
        simulator = self.served.simulator
        assert isinstance(simulator, Receiver)
        return simulator

    def start(self, policy: OutboundPolicy = OPEN, bounds: Bounds = TRY_BOUNDS) -> Deliveries:
        self.started.append(
            Deliveries(
                database=self.database,
                sealer=self.sealer,
                policy=policy,
                figures=Figures(),
                clock=lambda: self.now,
                bounds=bounds,
            )
        )
        self.started[-1].start()
        return self.started[-1]

    def ended(self, path: str, count: int = 1, **changes: Any) -> list[str]:
        """Jobs that completed, with a webhook to this path, or URL."""
        url = path if "://" in path else self.served.url + path
        ids = [self.submit(**changes) for _ in range(count)]
        for job_id in ids:
            hook(self.database, self.sealer, job_id, url)
        self.finish(*(outcome_of(one) for one in self.claim(count)))
        for each in self.started:
            each.ring()
        return ids

    def tried(self, job_id: str, times: int = 1, timeout: float = 10) -> Job:
        """The job, once its webhook was tried so often."""

        def enough() -> Job | None:
            job = self.get(job_id)
            return job if (job.webhook_tries or 0) >= times else None

        return eventually(enough, timeout)

    def due_at(self, job_id: str) -> float:
        return float(self.deliveries()[job_id].next_at)
