"""Streamed jobs: their log ends with them, and what readers may have seen is never run again."""

from __future__ import annotations

import time

import pytest

from services.chat_worker import unwritten as module
from services.chat_worker.unwritten import Unwritten
from shared.crypto import Sealer
from shared.domain import MAX_LOSSES, JobState
from shared.keyring import Keyring
from shared.store import jobs
from shared.store.jobs import ClaimedJob, Fence
from tests.contract.job_store.conftest import RETENTION, Store, outcome_of


def publish(store: Store, *claims: Fence) -> set[Fence]:
    with store.database.write() as tx:
        return jobs.publish(tx, claims)


def claim_streamed(store: Store, **changes: object) -> ClaimedJob:
    store.submit(**{"stream": True, "on_interrupt": "retry", **changes})
    (claimed,) = store.claim()
    return claimed


@pytest.mark.parametrize("state", [JobState.COMPLETED, JobState.FAILED])
def test_the_log_is_stored_with_the_end_be_it_good_or_bad(store: Store, state: JobState) -> None:
    claimed = claim_streamed(store)
    store.finish(outcome_of(claimed, state, log_sealed="sealed log", log_chunks=7))
    assert store.column(claimed.id, "log_sealed") == "sealed log"
    assert store.get(claimed.id).log_chunks == 7


def test_without_a_log_nothing_is_counted(store: Store) -> None:
    claimed = claim_streamed(store)
    store.finish(outcome_of(claimed, log_chunks=7))
    assert store.get(claimed.id).log_chunks is None


def test_the_log_of_an_end_that_comes_too_late_is_dropped(store: Store) -> None:
    claimed = claim_streamed(store)
    store.cancel(claimed.id)
    store.finish(outcome_of(claimed, log_sealed="late"))
    assert store.column(claimed.id, "log_sealed") is None


def test_a_log_is_never_left_on_a_job_that_returns_to_the_queue(store: Store) -> None:
    claimed = claim_streamed(store)
    store.finish(outcome_of(claimed, JobState.QUEUED, log_sealed="half a log"))
    assert store.column(claimed.id, "log_sealed") is None


def test_publishing_is_noted_for_those_who_hold_their_claim_only(store: Store) -> None:
    held, cancelled = claim_streamed(store), claim_streamed(store)
    store.cancel(cancelled.id)
    stale = (held.id, held.worker_id, held.attempt + 1)
    assert publish(store, held.fence, cancelled.fence, stale) == {held.fence}
    assert store.column(held.id, "publishing") is True
    assert store.column(cancelled.id, "publishing") is False


def test_nothing_is_noted_for_a_claim_that_is_not_the_rows(store: Store) -> None:
    claimed = claim_streamed(store)
    assert publish(store, (claimed.id, "wrk_other", claimed.attempt)) == set()
    assert store.column(claimed.id, "publishing") is False


def test_a_dead_workers_publishing_job_is_interrupted_and_not_run_again(store: Store) -> None:
    claimed = claim_streamed(store)
    publish(store, claimed.fence)
    store.kill(store.worker)
    swept = store.sweep()
    assert (list(swept.requeued), list(swept.ended)) == ([], [claimed.id])
    job = store.get(claimed.id)
    assert (job.state, job.error_code) == (JobState.FAILED, "interrupted")
    assert job.may_have_been_billed is True


def test_a_dead_workers_job_that_published_nothing_runs_again(store: Store) -> None:
    claimed = claim_streamed(store)
    store.kill(store.worker)
    assert list(store.sweep().requeued) == [claimed.id]


def test_the_third_loss_is_poisoned_whether_or_not_it_was_publishing(store: Store) -> None:
    job_id = store.submit(stream=True, on_interrupt="retry")
    for death in range(1, MAX_LOSSES + 1):
        (claimed,) = store.claim(worker=f"wrk_{death}")
        if death == MAX_LOSSES:
            publish(store, claimed.fence)
        store.kill(claimed.worker_id)
        store.sweep()
    assert store.get(job_id).error_code == "poisoned"


def test_a_job_that_was_about_to_publish_and_did_not_may_run_again_twice(store: Store) -> None:
    claimed = claim_streamed(store)
    publish(store, claimed.fence)
    store.finish(outcome_of(claimed, JobState.QUEUED, error_code="interrupted", interrupted=True))
    (again,) = store.claim()
    assert again.publishing is False
    store.kill(store.worker)
    assert list(store.sweep().requeued) == [claimed.id]


def test_chunks_that_waited_too_long_for_the_database_are_given_up_and_a_failure_keeps_its_error(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "KEEP_SECONDS", 0.0)
    sealer = Sealer(Keyring.generate())
    answered, failed = claim_streamed(store), claim_streamed(store)

    def sealed(job: ClaimedJob, column: str) -> str:
        return sealer.seal(b"words", table=jobs.TABLE, row=job.id, column=column)

    unwritten = Unwritten(store.database, sealer, RETENTION, time.time)
    unwritten.add(
        outcome_of(
            answered,
            result_sealed=sealed(answered, jobs.RESULT),
            log_sealed=sealed(answered, jobs.LOG),
        )
    )
    unwritten.add(
        outcome_of(
            failed,
            JobState.FAILED,
            error_code="upstream_stream_broken",
            error_sealed=sealed(failed, jobs.ERROR),
            log_sealed=sealed(failed, jobs.LOG),
        )
    )
    unwritten.shed_old()
    list(unwritten.write(renew=lambda _: True))
    assert [store.get(job.id).error_code for job in (answered, failed)] == [
        "unstorable",
        "upstream_stream_broken",
    ]
    assert store.get(failed.id).error_sealed is not None
    assert [store.column(job.id, "log_sealed") for job in (answered, failed)] == [None, None]
