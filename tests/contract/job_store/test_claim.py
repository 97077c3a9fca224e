"""The claim takes what can start now: oldest first, within limits, once."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import sqlalchemy as sa

from shared import ids
from shared.domain import JobState
from shared.store import jobs, providers
from shared.store.jobs.waiting import LANES
from tests.contract.job_store.conftest import RETENTION, Store, outcome_of


def test_an_accepted_job_is_claimed_with_all_that_a_call_needs(store: Store) -> None:
    job_id = store.submit(on_interrupt="retry")
    (claimed,) = store.claim()
    assert (claimed.id, claimed.worker_id, claimed.attempt) == (job_id, "wrk_one", 1)
    assert claimed.request_sealed == "sealed request"
    assert claimed.target.chat_url == "http://127.0.0.1:1/v1/chat/completions"
    assert claimed.on_interrupt == "retry"
    assert store.get(job_id).calls == 1
    assert store.get(job_id).started_at == store.now


def test_jobs_of_all_providers_go_first_in_first_out(store: Store) -> None:
    other = store.add_provider("other")
    order = [store.submit(provider_id=p) for p in [store.provider_id, other] * 3]
    assert [job.id for job in store.claim(4)] == order[:4]
    assert [job.id for job in store.claim(4)] == order[4:]


def test_a_claimed_job_is_not_claimed_again(store: Store) -> None:
    store.submit()
    assert len(store.claim()) == 1
    assert store.claim() == []


def test_a_limit_holds_exactly_and_holds_back_only_its_own_jobs(store: Store) -> None:
    narrow = store.add_provider("narrow", max_concurrency=2)
    for _ in range(5):
        store.submit(provider_id=narrow)
    free = store.submit()
    first = store.claim()
    assert sorted(job.target.slug for job in first) == ["acme", "narrow", "narrow"]
    assert free in [job.id for job in first]
    assert store.claim() == []
    ended = next(job for job in first if job.target.slug == "narrow")
    store.finish(outcome_of(ended))
    assert len(store.claim()) == 1


def test_four_claimers_at_once_never_exceed_a_limit_and_share_every_job_once(
    store: Store,
) -> None:
    limited = store.add_provider("limited", max_concurrency=7)
    submitted = {store.submit(provider_id=limited) for _ in range(60)}
    seen: list[str] = []
    lock = threading.Lock()

    def work(worker: str) -> None:
        while True:
            claimed = store.claim(3, worker)
            with store.database.read() as tx:
                assert jobs.running_of(tx, limited) <= 7
            with lock:
                seen.extend(job.id for job in claimed)
                if len(seen) == len(submitted):
                    return
            store.finish(*[outcome_of(job) for job in claimed])

    with ThreadPoolExecutor(4) as pool:
        for future in [pool.submit(work, f"wrk_{n}") for n in range(4)]:
            future.result(timeout=60)
    assert sorted(seen) == sorted(submitted)


def test_a_disabled_provider_keeps_its_jobs_waiting(store: Store) -> None:
    job_id = store.submit()
    with store.database.write() as tx:
        tx.execute(sa.text("UPDATE provider SET enabled = false"))
    assert store.claim() == []
    assert store.state(job_id) is JobState.QUEUED


def test_nothing_is_accepted_for_a_deleted_or_disabled_provider(store: Store) -> None:
    disabled = store.add_provider("off", enabled=False)
    assert store.submit(provider_id=disabled) == ""
    with store.database.write() as tx:
        providers.delete(tx, store.provider_id, at=store.now)
    assert store.submit() == ""


def test_queued_jobs_of_a_deleted_provider_end_when_they_are_found(store: Store) -> None:
    job_id = store.submit()
    with store.database.write() as tx:
        providers.delete(tx, store.provider_id, at=store.now)
    assert store.claim() == []
    job = store.get(job_id)
    assert (job.state, job.error_code) == (JobState.FAILED, "provider_deleted")
    assert job.may_have_been_billed is False


def test_a_job_past_its_deadline_is_not_begun(store: Store) -> None:
    store.submit(deadline=store.now + 5)
    store.now += 6
    assert store.claim() == []


def test_a_plain_look_sees_work_without_a_write_lock(store: Store) -> None:
    with store.database.read() as tx:
        assert not jobs.has_work(tx)
    store.submit()
    with store.database.read() as tx:
        assert jobs.has_work(tx)


def test_the_claim_reads_lanes_through_its_partial_index(store: Store) -> None:
    """A full provider's rows are not walked: the plan holds no scan of the table."""
    full = store.add_provider("full", max_concurrency=1)
    with store.database.write() as tx:
        store_many(tx, full, store.now, 4_000)
    store.submit()
    if not store.database.is_sqlite:
        with store.database.engine.connect().execution_options(
            isolation_level="AUTOCOMMIT"
        ) as connection:
            connection.execute(sa.text("ANALYZE chat_job"))
    plan = _plan(store)
    assert "ix_chat_job_lane" in plan
    assert "SCAN chat_job\n" not in plan
    assert "Seq Scan on chat_job" not in plan
    assert len(store.claim()) == 2


def store_many(tx: sa.Connection, provider_id: str, now: float, count: int) -> None:
    for _ in range(count):
        job = jobs.NewJob(
            id=ids.new(),
            owner="bob",
            key_id="key_1",
            request_id=None,
            provider_id=provider_id,
            model="full/m",
            upstream_model="m",
            background=True,
            store=True,
            service_tier="default",
            metadata={},
            on_interrupt="fail",
            on_unavailable="wait",
            deadline=now + 3600,
            created_at=now,
            request_sealed="x",
        )
        assert jobs.insert(tx, job)


def _plan(store: Store) -> str:
    explain = "EXPLAIN QUERY PLAN " if store.database.is_sqlite else "EXPLAIN "
    with store.database.read() as tx:
        rows = tx.execute(sa.text(explain + str(LANES))).all()
    return "\n".join(str(row[-1]) for row in rows) + "\n"


def test_cancelling_and_deleting_work_in_every_live_state(store: Store) -> None:
    queued, running = store.submit(), store.submit()
    store.now += 1
    assert [job.id for job in store.claim(1)] == [queued]
    assert store.cancel(queued)
    assert store.cancel(running)
    assert not store.cancel(queued)
    assert store.get(queued).may_have_been_billed is True
    assert store.get(running).may_have_been_billed is False
    assert store.get(running).expires_at == store.now + RETENTION.stored
