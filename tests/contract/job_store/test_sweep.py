"""What the sweep does about dead workers, and about rows that nobody holds."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from shared.domain import MAX_LOSSES, JobState
from shared.store import jobs, leases
from shared.store.jobs.sweep import FORGOTTEN_AFTER
from tests.contract.job_store.conftest import Store, outcome_of


@pytest.mark.parametrize(
    ("on_interrupt", "state", "code"),
    [("fail", JobState.FAILED, "interrupted"), ("retry", JobState.QUEUED, None)],
)
def test_jobs_of_a_dead_worker_follow_on_interrupt(
    store: Store, on_interrupt: str, state: JobState, code: str | None
) -> None:
    job_id = store.submit(on_interrupt=on_interrupt)
    store.claim()
    store.kill(store.worker)
    swept = store.sweep()
    assert list(swept.workers) == [store.worker]
    job = store.get(job_id)
    assert (job.state, job.error_code) == (state, code)
    assert job.may_have_been_billed is (state is JobState.FAILED)


def test_a_job_that_loses_three_workers_is_poisoned(store: Store) -> None:
    job_id = store.submit(on_interrupt="retry")
    for death in range(1, MAX_LOSSES + 1):
        (claimed,) = store.claim(worker=f"wrk_{death}")
        store.kill(claimed.worker_id)
        store.sweep()
    job = store.get(job_id)
    assert (job.state, job.error_code, job.calls) == (JobState.FAILED, "poisoned", MAX_LOSSES)


def test_no_job_is_poisoned_for_having_run_beside_one_that_kills_its_workers(
    store: Store,
) -> None:
    killer, bystander = (store.submit(on_interrupt="retry") for _ in range(2))
    for death in range(1, 4):
        claimed = store.claim(worker=f"wrk_{death}")
        if death < 3:
            assert {job.id for job in claimed} == {killer, bystander}
        else:
            assert [job.id for job in claimed] == [killer]
            fresh = store.submit()
            assert [job.id for job in store.claim(worker="wrk_other")] == [fresh]
        store.kill(f"wrk_{death}")
        store.sweep()
    assert store.get(killer).error_code == "poisoned"
    (alone,) = store.claim(worker="wrk_4")
    assert alone.id == bystander
    store.finish(outcome_of(alone))
    assert store.state(bystander) is JobState.COMPLETED


def test_a_suspect_worker_that_renews_is_cleared(store: Store) -> None:
    job_id = store.submit()
    store.claim()
    with store.database.write() as tx:
        tx.execute(sa.text("UPDATE worker SET lease_until = 0"))
    assert list(store.sweep().workers) == []  # suspect now, dead one lease later
    with store.database.write() as tx:
        assert leases.renew(tx, store.worker, seconds=60)
    assert list(store.sweep().workers) == []
    assert store.state(job_id) is JobState.IN_PROGRESS


def test_a_worker_declared_dead_cannot_renew(store: Store) -> None:
    store.kill(store.worker)
    store.sweep()
    with store.database.write() as tx:
        assert not leases.renew(tx, store.worker, seconds=60)


def test_a_duty_has_one_holder_until_its_lease_ends_or_it_resigns(store: Store) -> None:
    with store.database.write() as tx:
        assert leases.lead(tx, "sweep", holder="a", seconds=60)
        assert not leases.lead(tx, "sweep", holder="b", seconds=60)
        assert leases.lead(tx, "sweep", holder="a", seconds=-1)
        assert leases.lead(tx, "sweep", holder="b", seconds=60)
        leases.resign(tx, "sweep", holder="b")
        assert leases.lead(tx, "sweep", holder="a", seconds=60)


@pytest.mark.parametrize(
    ("on_interrupt", "state"), [("fail", JobState.FAILED), ("retry", JobState.QUEUED)]
)
def test_running_rows_of_a_worker_that_is_not_listed_are_swept_as_a_dead_ones(
    store: Store, on_interrupt: str, state: JobState
) -> None:
    job_id = store.submit(on_interrupt=on_interrupt)
    store.claim()
    with store.database.write() as tx:
        leases.withdraw(tx, store.worker)
    store.sweep()
    assert store.state(job_id) is state


def test_a_running_row_long_past_its_deadline_ends_whoever_holds_it(store: Store) -> None:
    job_id = store.submit(deadline=store.now + 10)
    store.claim()
    store.now += 10 + FORGOTTEN_AFTER - 1
    store.sweep()
    assert store.state(job_id) is JobState.IN_PROGRESS
    store.now += 2
    store.sweep()
    job = store.get(job_id)
    assert (job.error_code, job.may_have_been_billed) == ("deadline_exceeded", True)


def test_what_a_stopping_worker_still_holds_goes_back_uncounted(store: Store) -> None:
    job_id, other = store.submit(), store.submit()
    (mine,) = store.claim(1)
    store.claim(1, worker="wrk_other")
    with store.database.write() as tx:
        assert list(jobs.release_held(tx, mine.worker_id)) == [job_id]
    assert (store.state(job_id), store.get(job_id).calls) == (JobState.QUEUED, 0)
    assert store.state(other) is JobState.IN_PROGRESS
