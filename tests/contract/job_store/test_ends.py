"""A job ends once: the fence decides whose end counts, the money log keeps all of them."""

from __future__ import annotations

import pytest

from shared.domain import JobState
from shared.store import jobs
from tests.contract.job_store.conftest import NOW, RETENTION, Store, outcome_of


def test_a_completed_job_keeps_its_result_until_it_expires(store: Store) -> None:
    job_id = store.submit()
    (claimed,) = store.claim()
    store.now += 3
    assert store.finish(outcome_of(claimed, result_sealed="sealed result")) == {job_id}
    job = store.get(job_id)
    assert (job.state, job.result_sealed) == (JobState.COMPLETED, "sealed result")
    assert (job.completed_at, job.expires_at) == (NOW + 3, NOW + 3 + RETENTION.stored)
    assert [row.fenced for row in store.attempts(job_id)] == [False]


def test_an_unstored_result_is_kept_for_the_short_time(store: Store) -> None:
    job_id = store.submit(store=False)
    (claimed,) = store.claim()
    store.finish(outcome_of(claimed))
    assert store.get(job_id).expires_at == store.now + RETENTION.unstored


@pytest.mark.parametrize("stale", ["worker", "attempt", "cancelled", "ended"])
def test_an_end_that_comes_too_late_changes_nothing_but_is_logged(store: Store, stale: str) -> None:
    job_id = store.submit()
    (claimed,) = store.claim()
    outcome = outcome_of(claimed, result_sealed="late")
    match stale:
        case "worker":
            outcome = outcome_of(claimed, worker_id="wrk_other", result_sealed="late")
        case "attempt":
            outcome = outcome_of(claimed, attempt=2, result_sealed="late")
        case "cancelled":
            store.cancel(job_id)
        case "ended":
            store.finish(outcome_of(claimed, JobState.FAILED, error_code="upstream_refused"))
    before = store.get(job_id)
    assert store.finish(outcome) == set()
    assert store.get(job_id) == before
    assert len(store.attempts(job_id)) == 1


def test_one_batch_holds_ends_returns_and_late_comers(store: Store) -> None:
    ended, returned, late = (store.submit() for _ in range(3))
    claims = {job.id: job for job in store.claim()}
    store.cancel(late)
    held = store.finish(
        outcome_of(claims[ended]),
        outcome_of(claims[returned], JobState.QUEUED, error_code="upstream_unreachable"),
        outcome_of(claims[late]),
    )
    assert held == {ended, returned}
    assert store.state(ended) is JobState.COMPLETED
    assert store.state(returned) is JobState.QUEUED
    assert store.state(late) is JobState.CANCELLED
    assert [row.fenced for row in store.attempts(late)] == [True]


def test_no_worker_cancels_a_job(store: Store) -> None:
    job_id = store.submit()
    (claimed,) = store.claim()
    store.finish(outcome_of(claimed, JobState.CANCELLED))
    assert store.state(job_id) is JobState.IN_PROGRESS


def test_a_return_to_the_queue_tells_why_and_waits_its_time(store: Store) -> None:
    job_id = store.submit()
    (claimed,) = store.claim()
    store.finish(
        outcome_of(
            claimed,
            JobState.QUEUED,
            error_code="interrupted",
            interrupted=True,
            not_before=store.now + 2,
        )
    )
    assert store.get(job_id).last_cause == "interrupted"
    assert store.claim() == []
    store.now += 2
    (again,) = store.claim()
    assert (again.attempt, again.interrupts) == (2, 1)
    assert store.get(job_id).calls == 2


def test_a_call_that_never_began_is_not_counted(store: Store) -> None:
    job_id = store.submit()
    (claimed,) = store.claim()
    store.finish(outcome_of(claimed, JobState.QUEUED, extra_calls=-1, evidence=None))
    assert store.get(job_id).calls == 0
    assert store.get(job_id).started_at is None
    assert store.attempts(job_id) == []


def test_a_batch_written_twice_counts_the_money_once(store: Store) -> None:
    job_id = store.submit()
    (claimed,) = store.claim()
    store.finish(outcome_of(claimed))
    store.finish(outcome_of(claimed))
    assert len(store.attempts(job_id)) == 1


def test_a_worker_learns_which_of_its_jobs_are_lost(store: Store) -> None:
    kept, cancelled = store.submit(), store.submit()
    claims = [job.fence for job in store.claim()]
    store.cancel(cancelled)
    with store.database.read() as tx:
        assert jobs.lost(tx, claims) == {(cancelled, store.worker, 1)}
        assert jobs.held_by(tx, store.worker) == {(kept, store.worker, 1)}
    assert store.state(kept) is JobState.IN_PROGRESS


def test_a_queued_job_past_its_deadline_ends_and_names_the_last_cause(store: Store) -> None:
    job_id = store.submit(deadline=store.now + 5)
    (claimed,) = store.claim()
    store.finish(outcome_of(claimed, JobState.QUEUED, error_code="upstream_unreachable"))
    store.now += 6
    assert list(store.sweep().ended) == [job_id]
    job = store.get(job_id)
    assert (job.state, job.error_code) == (JobState.FAILED, "deadline_exceeded")
    assert job.last_cause == "upstream_unreachable"


def test_the_purge_deletes_only_ended_jobs_past_their_time(store: Store) -> None:
    old, young, live = store.submit(), store.submit(store=True), store.submit()
    first, second = store.claim(2)
    assert (first.id, second.id) == (old, young)
    store.finish(outcome_of(first))
    store.now += 10
    store.finish(outcome_of(second))
    store.now += RETENTION.stored - 5
    with store.database.write() as tx:
        assert jobs.purge(tx, now=store.now) == 1
    with store.database.read() as tx:
        assert jobs.get(tx, old, owner=None) is None
        assert set(jobs.states(tx, [old, young, live])) == {young, live}
    assert store.attempts(old) == []


def test_a_job_is_seen_by_its_owner_and_by_nobody_else(store: Store) -> None:
    job_id = store.submit(owner="ann")
    with store.database.read() as tx:
        assert jobs.get(tx, job_id, owner="ann") is not None
        assert jobs.get(tx, job_id, owner="bob") is None


def test_the_position_counts_the_jobs_ahead_at_the_same_provider(store: Store) -> None:
    other = store.add_provider("other")
    store.submit(provider_id=other)
    ids = [store.submit() for _ in range(3)]
    with store.database.read() as tx:
        assert [jobs.queue_position(tx, store.get(job_id)) for job_id in ids] == [1, 2, 3]


def test_foreground_deadlines_are_ended_by_the_registry_only_when_they_passed(
    store: Store,
) -> None:
    late, early = store.submit(deadline=store.now + 1), store.submit(deadline=store.now + 60)
    store.claim()
    store.now += 3
    with store.database.write() as tx:
        ended = jobs.expire_foreground(tx, [late, early], now=store.now, retention=RETENTION)
    assert list(ended) == [late]
    assert store.get(late).error_code == "deadline_exceeded"
    assert store.state(early) is JobState.IN_PROGRESS


@pytest.mark.parametrize("end", ["cancelled", "provider deleted"])
def test_an_earlier_lost_call_may_have_been_billed_however_the_job_ends(
    store: Store, end: str
) -> None:
    job_id = store.submit(on_interrupt="retry")
    (claimed,) = store.claim()
    store.finish(outcome_of(claimed, JobState.QUEUED, error_code="interrupted", interrupted=True))
    if end == "cancelled":
        store.cancel(job_id)
    else:
        with store.database.write() as tx:
            jobs.fail_of_deleted_provider(tx, store.provider_id, now=store.now, retention=RETENTION)
    assert store.get(job_id).may_have_been_billed is True
