"""Deliveries: one a job with a webhook, opened by whatever ends it, tried on a schedule."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from shared.domain import JobState
from shared.store import deliveries, jobs
from shared.store.deliveries import CLAIM_SECONDS, Delivery
from tests.contract.job_store.conftest import HOOK, NOW, RETENTION, Store, outcome_of


def claim(store: Store, most: int = 10) -> Sequence[Delivery]:
    with store.database.write() as tx:
        return deliveries.claim(tx, now=store.now, most=most)


def settle(store: Store, delivery: Delivery, status: int | None) -> str | None:
    with store.database.write() as tx:
        return deliveries.settle(tx, delivery, status=status, now=store.now)


def ended(store: Store, **changes: Any) -> str:
    """The id of a completed job with a webhook."""
    job_id = store.submit(**HOOK, **changes)
    store.finish(*(outcome_of(one) for one in store.claim() if one.id == job_id))
    return job_id


def test_a_return_to_the_queue_and_an_end_that_came_too_late_open_none(store: Store) -> None:
    returned, late = store.submit(**HOOK), store.submit(**HOOK)
    claims = {one.id: one for one in store.claim()}
    store.cancel(late)
    (before,) = store.deliveries().values()
    store.now += 1
    store.finish(
        outcome_of(claims[returned], JobState.QUEUED, error_code="interrupted"),
        outcome_of(claims[late]),
    )
    assert store.deliveries() == {late: before}
    assert before.type == "chat.completion.cancelled"


def test_a_job_shows_its_webhook_from_the_beginning(store: Store) -> None:
    plain, hooked = store.submit(), store.submit(**HOOK)
    seen = [store.get(job_id) for job_id in (plain, hooked)]
    assert [(job.webhook, job.webhook_status) for job in seen] == [(False, None), (True, None)]
    store.finish(*map(outcome_of, store.claim()))
    assert store.get(plain).webhook is False
    job = store.get(hooked)
    assert (job.webhook, job.webhook_status, job.webhook_tries) == (True, "pending", 0)


def test_a_claim_holds_everything_that_a_try_needs(store: Store) -> None:
    job_id = ended(store, route="responses")
    (claimed,) = claim(store)
    assert claimed == Delivery(
        id=f"evt_{job_id}",
        job_id=job_id,
        route="responses",
        type="response.completed",
        attempts=0,
        created_at=NOW,
        webhook_sealed="sealed webhook",
        until=NOW + CLAIM_SECONDS,
    )


def test_failures_are_tried_again_on_the_schedule_and_then_given_up(store: Store) -> None:
    job_id = ended(store)
    begun = []
    for status in (None, 500, 302, 404, 429, 199, 503):
        due = store.deliveries()[job_id].next_at
        store.now = due - 0.01
        assert claim(store) == []
        store.now = due
        (claimed,) = claim(store)
        begun.append(store.now - NOW)
        assert settle(store, claimed, status) == ("failed" if status == 503 else "pending")
        assert store.deliveries()[job_id].last_status == status
    assert begun == [0, 5, 305, 2_105, 9_305, 27_305, 63_305]
    store.now += 1_000_000
    assert claim(store) == []
    job = store.get(job_id)
    assert (job.webhook_status, job.webhook_tries) == ("failed", 7)


def test_what_is_settled_is_not_tried_again_and_shows_on_the_job(store: Store) -> None:
    for status, became in ((200, "delivered"), (299, "delivered"), (410, "failed")):
        job_id = ended(store)
        before = store.get(job_id)
        (claimed,) = claim(store)
        assert store.get(job_id) == before
        assert settle(store, claimed, status) == became
        store.now += 1_000_000
        assert claim(store) == []
        job = store.get(job_id)
        assert (job.webhook_status, job.webhook_tries) == (became, 1)
        assert (job.state, job.version) == (before.state, before.version + 1)


def test_a_delivery_is_claimed_by_one_and_again_when_its_claim_ran_out(store: Store) -> None:
    job_id = ended(store)
    (dead,) = claim(store)
    store.now += CLAIM_SECONDS
    assert claim(store) == []
    store.now += 0.001
    (again,) = claim(store)
    assert (again.id, again.attempts) == (dead.id, 0)
    assert settle(store, dead, 200) is None  # too late: another has it
    assert store.get(job_id).webhook_status == "pending"
    assert settle(store, again, 200) == "delivered"
    assert settle(store, again, 500) is None


def test_a_late_outcome_counts_while_nobody_else_has_claimed(store: Store) -> None:
    ended(store)
    (claimed,) = claim(store)
    store.now += CLAIM_SECONDS + 600
    assert settle(store, claimed, 200) == "delivered"


def test_those_that_are_due_for_longest_are_claimed_first(store: Store) -> None:
    ids = []
    for _ in range(3):
        ids.append(ended(store))
        store.now += 1
    assert [one.job_id for one in sorted(claim(store, 2), key=lambda one: one.created_at)] == ids[
        :2
    ]
    with store.database.read() as tx:
        assert deliveries.any_due(tx, now=store.now)
    assert [one.job_id for one in claim(store)] == ids[2:]
    with store.database.read() as tx:
        assert not deliveries.any_due(tx, now=store.now)


def test_a_claim_that_is_put_off_is_no_try(store: Store) -> None:
    job_id = ended(store)
    (claimed,) = claim(store)
    version = store.get(job_id).version
    with store.database.write() as tx:
        deliveries.put_off(tx, {claimed: store.now + 3})
    assert claim(store) == []
    store.now += 3
    assert [one.attempts for one in claim(store)] == [0]
    assert store.get(job_id).version == version


def test_a_result_is_kept_past_its_time_until_its_delivery_is_settled(store: Store) -> None:
    plain, hooked = store.submit(), store.submit(**HOOK)
    store.finish(*map(outcome_of, store.claim()))
    store.now += RETENTION.stored + 1

    def purge() -> int:
        with store.database.write() as tx:
            return jobs.purge(tx, now=store.now)

    assert (purge(), purge()) == (1, 0)
    with store.database.read() as tx:
        assert jobs.get(tx, plain, owner=None) is None
    assert store.get(hooked).webhook_status == "pending"
    (claimed,) = claim(store)
    settle(store, claimed, 410)
    assert (purge(), store.deliveries()) == (1, {})


def test_a_deleted_job_takes_its_delivery_along_even_in_mid_try(store: Store) -> None:
    job_id, other = ended(store), ended(store)
    claims = {one.job_id: one for one in claim(store)}
    with store.database.write() as tx:
        jobs.delete(tx, job_id)
    assert list(store.deliveries()) == [other]
    assert settle(store, claims[job_id], 200) is None
    assert settle(store, claims[other], 200) == "delivered"


def test_two_workers_never_claim_the_same(store: Store) -> None:
    if store.database.is_sqlite:
        pytest.skip("SQLite has one writer at a time")
    ids = {ended(store), ended(store)}
    with store.database.write() as one:
        first = deliveries.claim(one, now=store.now, most=1)
        with store.database.write() as two:
            second = deliveries.claim(two, now=store.now, most=10)
    assert {each.job_id for each in (*first, *second)} == ids
    assert (len(first), len(second)) == (1, 1)
