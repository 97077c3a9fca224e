"""What changes rows: by HTTP while the chat worker is stopped, in this process, and under load."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Final

import sqlalchemy as sa

from benchmarks import load, processes
from benchmarks.growth.places import OWNERS, WORKER, Place
from benchmarks.growth.timing import Taken
from services.registry.metrics import facts
from shared import ids
from shared.domain import JobState
from shared.store import jobs, leases
from shared.store.jobs import ClaimedJob, Evidence, NewJob, Outcome, Retention
from shared.store.jobs.sweep import PURGE_BATCH
from tests.api import CHAT, chat_body
from tests.bulk import DAY, Bulk, fill
from tests.bulk.rows import answer
from tests.eventually import eventually

RETENTION: Final = Retention(stored=7 * DAY, unstored=600.0)
BATCH: Final = 64  # jobs of a claim, and of a batch of ends
EXPIRED: Final = 1_500  # what a purge finds
SEALED: Final = "x" * 1_300  # of what nobody reads
ANSWER: Final = answer("A translated letter. " * 30)


@contextmanager
def worker_stopped(*places: Place) -> Iterator[None]:
    """No chat worker of these claims while the block runs."""
    with ExitStack() as stack:
        for place in places:
            stack.enter_context(place.system.suspended_between_writes(WORKER))
        yield


def by_http(place: Place, taken: Taken) -> None:
    """Accept, look at the queued job, note, cancel, delete."""
    http = place.system.api.http
    body = chat_body(place.model, background=True, metadata={"run": "bench"})
    with taken.timed("accept"):
        answer = http.post(CHAT, json=body)
    assert answer.status_code == 202, answer.text
    path = f"{CHAT}/{answer.json()['id']}"
    for name, method, where, sent in (
        ("a queued job and its place", "GET", path, None),
        ("other metadata", "POST", path, {"metadata": {"run": "other"}}),
        ("cancel", "POST", f"{path}/cancel", None),
        ("delete", "DELETE", path, None),
    ):
        with taken.timed(name):
            answer = http.request(method, where, json=sent)
        assert answer.status_code == 200, answer.text


def by_hand(place: Place, taken: Taken) -> None:
    """Submit, claim and end a batch in this process, as the services do it."""
    now, worker = time.time(), ids.new(ids.WORKER)
    database = place.database
    made = [_new(place, number, now) for number in range(BATCH)]
    with taken.timed(f"insert {BATCH} jobs"), database.write() as tx:
        assert all(jobs.insert(tx, job) for job in made)
    with database.write() as tx:
        leases.register(tx, worker, host="bench", pid=1, seconds=60)
    with taken.timed(f"claim {BATCH} jobs"), database.write() as tx:
        claimed = jobs.claim(tx, worker_id=worker, want=BATCH, now=now, retention=RETENTION)
    assert len(claimed) == BATCH
    ends = [_end(place, job, now) for job in claimed]
    with taken.timed(f"end {BATCH} jobs"), database.write() as tx:
        jobs.finish(tx, ends, now=now, retention=RETENTION)
    with taken.timed("sweep"), database.write() as tx:
        jobs.sweep(tx, now=now, retention=RETENTION)
    with database.write() as tx:
        leases.withdraw(tx, worker)


def counts(place: Place, taken: Taken) -> None:
    """What is counted now and then, whoever asks."""
    with taken.timed("count the queue"), place.database.read() as tx:
        jobs.queued(tx, most=1_000_000)
    with taken.timed("facts of a scrape"), place.database.read() as tx:
        facts.read(tx, now=time.time())


def purge(place: Place, taken: Taken, number: int) -> None:
    """Delete jobs past their time, a batch in each transaction, which holds SQLite's write lock."""
    long_ago = time.time() - 30 * DAY - number * DAY
    bulk = Bulk(EXPIRED, long_ago, OWNERS, place.kinds, days=0.5, seed=100 + number)
    fill(place.database, bulk, lambda plain, row, column: SEALED)
    deleted = PURGE_BATCH
    while deleted == PURGE_BATCH:
        began = time.perf_counter()
        with place.database.write() as tx:
            deleted = jobs.purge(tx, now=time.time())
        if deleted == PURGE_BATCH:
            taken.add(f"purge {PURGE_BATCH} jobs", time.perf_counter() - began)


def calls(place: Place, taken: Taken, *, connections: int, seconds: float) -> None:
    """Plain calls as fast as `connections` go: seconds and CPU seconds of each."""
    call = load.chat(place.system.url, place.system.admin_key, place.model)
    roots = [place.system.runner_pid]
    before = processes.cpu_seconds(roots)
    answers = asyncio.run(load.closed_loop(call, connections=connections, seconds=seconds))
    assert not answers.errors, answers.failed
    used = processes.cpu_seconds(roots) - before
    taken.add("plain call, 20 connections (1 / rate)", 1 / answers.rate)
    taken.add("plain call, CPU", used / answers.calls)
    taken.add("plain call, 20 connections, p99", answers.quantile(0.99))


def drain(place: Place, taken: Taken, count: int) -> None:
    """Submit jobs by 20 connections, of an upstream that answers at once, and wait for all."""
    call = load.chat(place.system.url, place.system.admin_key, place.model, background=True)
    roots = [place.system.runner_pid]
    before, began = processes.cpu_seconds(roots), time.perf_counter()
    answers = asyncio.run(_submitted(call, count))
    assert not answers.errors, answers.failed
    taken.add("submission, 20 connections (1 / rate)", answers.seconds / count)
    eventually(lambda: _is_idle(place), 120, every=0.02)
    taken.add("job, submitted and done (1 / rate)", (time.perf_counter() - began) / count)
    taken.add("job, CPU", (processes.cpu_seconds(roots) - before) / count)


def _is_idle(place: Place) -> bool:
    running = sa.text("SELECT 1 FROM chat_job WHERE state = 'in_progress' LIMIT 1")
    with place.database.read() as tx:
        return not jobs.has_work(tx) and tx.execute(running).first() is None


async def _submitted(call: load.Call, count: int) -> load.Answers:
    answers, left = load.Answers(), iter(range(count))

    async def one(session: Any) -> None:
        for _ in left:
            await load.ask(session, call, answers)

    async with load.clients() as session, load.measured(answers):
        await asyncio.gather(*(one(session) for _ in range(20)))
    return answers


def _new(place: Place, number: int, now: float) -> NewJob:
    kind = place.kinds[number % len(place.kinds)]
    return NewJob(
        id=ids.new(),
        owner=OWNERS[number % len(OWNERS)],
        key_id="key_bench",
        request_id=None,
        provider_id=kind.provider_id,
        model=kind.models[0],
        upstream_model="sim-model",
        background=True,
        store=True,
        service_tier="default",
        metadata={"run": "bench"},
        on_interrupt="fail",
        on_unavailable="wait",
        deadline=now + 3_600,
        created_at=now,
        request_sealed=SEALED,
    )


def _end(place: Place, job: ClaimedJob, now: float) -> Outcome:
    evidence = Evidence(
        chat_url=job.target.chat_url,
        key_fingerprint=None,
        provider_revision=1,
        started_at=now,
        ended_at=now + 1,
        calls=1,
        outcome="completed",
        sent=True,
        prompt_tokens=10,
        completion_tokens=20,
    )
    return Outcome(
        job.id,
        job.worker_id,
        job.attempt,
        JobState.COMPLETED,
        evidence=evidence,
        result_sealed=place.seal(ANSWER, job.id, jobs.RESULT),
    )
