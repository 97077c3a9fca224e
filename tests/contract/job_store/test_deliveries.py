"""Deliveries: one a job with a webhook, opened by whatever ends it, tried on a schedule."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import pytest
import sqlalchemy as sa

from shared.domain import MAX_LOSSES, JobState
from shared.store import deliveries, jobs, providers
from shared.store.deliveries import CLAIM_SECONDS, Delivery
from shared.store.jobs.sweep import FORGOTTEN_AFTER
from shared.store.schema import webhook_delivery
from tests.contract.job_store.conftest import NOW, RETENTION, Store, outcome_of

HOOK = {"webhook_sealed": "sealed webhook"}


def rows(store: Store) -> dict[str, Any]:
    """Every delivery, by its job."""
    with store.database.read() as tx:
        return {row.job_id: row for row in tx.execute(sa.select(webhook_delivery))}


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


def _completed(store: Store) -> None:
    store.finish(*map(outcome_of, store.claim()))


def _failed(store: Store) -> None:
    outcomes = [outcome_of(one, JobState.FAILED, error_code="poisoned") for one in store.claim()]
    store.finish(*outcomes)


def _cancelled_in_the_queue(store: Store) -> None:
    for job_id in queued(store):
        store.cancel(job_id)


def _cancelled_while_running(store: Store) -> None:
    for one in store.claim():
        store.cancel(one.id)


def _foreground_deadline(store: Store) -> None:
    store.now += 10_000
    with store.database.write() as tx:
        jobs.expire_foreground(tx, queued(store), now=store.now, retention=RETENTION)


def _provider_deleted(store: Store) -> None:
    with store.database.write() as tx:
        jobs.fail_of_deleted_provider(tx, store.provider_id, now=store.now, retention=RETENTION)


def _provider_found_deleted_by_a_claim(store: Store) -> None:
    with store.database.write() as tx:
        providers.delete(tx, store.provider_id, at=store.now)
    store.claim()


def _worker_died(store: Store) -> None:
    store.claim()
    store.kill(store.worker)
    store.sweep()


def _poisoned(store: Store) -> None:
    with store.database.write() as tx:
        tx.execute(sa.text("UPDATE chat_job SET losses = :n"), {"n": MAX_LOSSES - 1})
    for job_id in queued(store):  # suspects run one at a time
        store.claim()
        store.kill(store.worker)
        store.sweep()
        assert store.get(job_id).error_code == "poisoned"


def _deadline_in_the_queue(store: Store) -> None:
    store.now += 10_000
    store.sweep()


def _forgotten(store: Store) -> None:
    store.claim()
    store.now += 10_000 + FORGOTTEN_AFTER
    store.sweep()


ENDS: Final[dict[Callable[[Store], None], str]] = {
    _completed: "completed",
    _failed: "failed",
    _cancelled_in_the_queue: "cancelled",
    _cancelled_while_running: "cancelled",
    _foreground_deadline: "failed",
    _provider_deleted: "failed",
    _provider_found_deleted_by_a_claim: "failed",
    _worker_died: "failed",
    _poisoned: "failed",
    _deadline_in_the_queue: "failed",
    _forgotten: "failed",
}


def queued(store: Store) -> Sequence[str]:
    with store.database.read() as tx:
        found = tx.execute(sa.text("SELECT id FROM chat_job WHERE state = 'queued' ORDER BY id"))
        return found.scalars().all()


def test_rows_end_in_two_places_and_both_open_deliveries() -> None:
    """Whoever writes a third must open them too, and add its end to those above."""
    root = Path(jobs.__file__).parents[2]
    sources = {path.name: path.read_text("utf-8") for path in root.rglob("*.py")}
    writers = {name for name, source in sources.items() if "completed_at=" in source}
    assert writers == {"ends.py", "finish.py"}
    assert all("deliveries.open_for(" in sources[name] for name in writers)


def test_whatever_ends_jobs_opens_the_deliveries_of_those_with_a_webhook(store: Store) -> None:
    for end, state in ENDS.items():
        store.provider_id = store.add_provider(end.__name__.strip("_").replace("_", "-"))
        plain, hooked = store.submit(), store.submit(**HOOK)
        other = store.submit(**HOOK, route="responses")
        end(store)
        assert all(store.state(job_id).terminal for job_id in (plain, hooked, other)), end
        found = rows(store)
        assert plain not in found
        types = f"chat.completion.{state}", f"response.{state}"
        assert (found[hooked].type, found[other].type) == types, end
        for job_id in (hooked, other):
            row = found[job_id]
            assert (row.id, row.status, row.attempts) == (f"evt_{job_id}", "pending", 0)
            assert row.created_at == row.next_at == store.get(job_id).completed_at


def test_a_return_to_the_queue_and_an_end_that_came_too_late_open_none(store: Store) -> None:
    returned, late = store.submit(**HOOK), store.submit(**HOOK)
    claims = {one.id: one for one in store.claim()}
    store.cancel(late)
    (before,) = rows(store).values()
    store.now += 1
    store.finish(
        outcome_of(claims[returned], JobState.QUEUED, error_code="interrupted"),
        outcome_of(claims[late]),
    )
    assert rows(store) == {late: before}
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
        due = rows(store)[job_id].next_at
        store.now = due - 0.01
        assert claim(store) == []
        store.now = due
        (claimed,) = claim(store)
        begun.append(store.now - NOW)
        assert settle(store, claimed, status) == ("failed" if status == 503 else "pending")
        assert rows(store)[job_id].last_status == status
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
    assert (purge(), rows(store)) == (1, {})


def test_a_deleted_job_takes_its_delivery_along_even_in_mid_try(store: Store) -> None:
    job_id, other = ended(store), ended(store)
    claims = {one.job_id: one for one in claim(store)}
    with store.database.write() as tx:
        jobs.delete(tx, job_id)
    assert list(rows(store)) == [other]
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
