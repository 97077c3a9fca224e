"""One UPDATE or two before a call: what marking `calling` apart from the claim would cost.

    python -m benchmarks.claim_steps sqlite:////path/to/an/empty.db
    python -m benchmarks.claim_steps postgresql://user@host/an_empty_database

Prints jobs a second and CPU a job of claim + end, in batches of 1, 16 and 256, with and without a
second conditional UPDATE and commit between them. The variants take turns, so that a busy machine
disturbs both alike.
"""

from __future__ import annotations

import sys
import time

import sqlalchemy as sa

from shared import ids
from shared.domain import JobState
from shared.store import jobs, providers
from shared.store.database import Database
from shared.store.jobs import ClaimedJob, NewJob, Outcome, Retention
from shared.store.migrate import upgrade

RETENTION = Retention(600, 60)
BODY = "x" * 1_500  # a sealed chat of about 1 kB
ROUNDS = 3
_MARK = sa.text(
    "UPDATE chat_job SET version = version + 1 "
    "WHERE id = :id AND worker_id = 'w' AND attempt = :attempt AND state = 'in_progress'"
)


def add_provider(database: Database) -> str:
    """A provider to submit to."""
    now = time.time()
    new = providers.Provider(
        id=ids.new(ids.PROVIDER),
        name="bench",
        slug="bench",
        endpoint="http://127.0.0.1:1",
        chat_url="http://127.0.0.1:1/v1/chat/completions",
        models_url="http://127.0.0.1:1/v1/models",
        host="127.0.0.1",
        port=1,
        api_key_sealed=None,
        api_key_last4=None,
        api_key_fingerprint=None,
        api_key_rotated_at=None,
        description="",
        tags=[],
        visibility="everyone",
        options={},
        max_concurrency=None,
        enabled=True,
        revision=1,
        created_at=now,
        updated_at=now,
    )
    with database.write() as tx:
        providers.create(tx, new)
    return new.id


def submit(database: Database, provider_id: str, count: int) -> None:
    """Queue `count` jobs."""
    now = time.time()
    with database.write() as tx:
        for _ in range(count):
            jobs.insert(
                tx,
                NewJob(
                    id=ids.new(),
                    owner="o",
                    key_id="k",
                    request_id=None,
                    provider_id=provider_id,
                    model="bench/m",
                    upstream_model="m",
                    background=True,
                    store=True,
                    service_tier="default",
                    metadata={},
                    on_interrupt="fail",
                    on_unavailable="wait",
                    deadline=now + 3600,
                    created_at=now,
                    request_sealed=BODY,
                ),
            )


def end_of(job: ClaimedJob) -> Outcome:
    """A completed call."""
    return Outcome(job.id, job.worker_id, job.attempt, JobState.COMPLETED, result_sealed=BODY)


def run(database: Database, provider_id: str, *, batch: int, count: int, mark: bool) -> str:
    """Claim and end `count` jobs; returns the two figures as text."""
    submit(database, provider_id, count)
    begun, cpu, done = time.perf_counter(), time.process_time(), 0
    while done < count:
        now = time.time()
        with database.write() as tx:
            claimed = jobs.claim(tx, worker_id="w", want=batch, now=now, retention=RETENTION)
        if mark:
            with database.write() as tx:
                tx.execute(_MARK, [{"id": job.id, "attempt": job.attempt} for job in claimed])
        with database.write() as tx:
            jobs.finish(tx, [end_of(job) for job in claimed], now=now, retention=RETENTION)
        done += len(claimed)
    seconds = time.perf_counter() - begun
    microseconds = (time.process_time() - cpu) / count * 1e6
    return f"{count / seconds:8.0f} jobs/s {microseconds:6.0f} µs CPU a job"


def main(url: str) -> None:
    """Run every variant in turns and print the figures."""
    database = Database(url)
    with database.write() as tx:
        upgrade(tx)
    provider_id = add_provider(database)
    for batch in (1, 16, 256):
        for _ in range(ROUNDS):
            for mark in (False, True):
                figures = run(
                    database, provider_id, batch=batch, count=max(300, 6 * batch), mark=mark
                )
                print(f"batch {batch:3} {'two steps' if mark else 'one step '} {figures}")
    database.dispose()


if __name__ == "__main__":
    main(sys.argv[1])
