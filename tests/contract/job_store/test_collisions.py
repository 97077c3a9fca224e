"""Whoever touches the same rows at the same time, or many of them at once, loses nothing by it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from shared.store import access, deliveries, jobs
from shared.store.access import Role
from shared.store.schema import chat_job, webhook_delivery
from tests.contract.job_store.conftest import RETENTION, Store, outcome_of
from tests.eventually import eventually

WAITING = sa.text("SELECT 1 FROM pg_locks WHERE NOT granted")

Beside = Callable[[Callable[[sa.Connection], object]], Future[None]]


@pytest.fixture
def beside(store: Store) -> Iterator[Beside]:
    """Does work in a transaction of its own; returns when it is done or waits for a lock."""
    if store.database.is_sqlite:
        pytest.skip("SQLite has one writer")
    with ThreadPoolExecutor(1) as executor:

        def run(work: Callable[[sa.Connection], object]) -> None:
            with store.database.write() as tx:
                work(tx)

        def begin(work: Callable[[sa.Connection], object]) -> Future[None]:
            future = executor.submit(run, work)

            def stands() -> bool:
                with store.database.read() as tx:
                    return future.done() or tx.execute(WAITING).first() is not None

            eventually(stands, 5)
            return future

        yield begin


def test_a_delete_and_the_end_of_a_delivery_do_not_wait_in_a_circle(
    store: Store, beside: Beside
) -> None:
    job_id = store.submit(webhook_sealed="sealed webhook")
    store.finish(*map(outcome_of, store.claim()))
    with store.database.write() as tx:
        (delivery,) = deliveries.claim(tx, now=store.now, most=1)
    with store.database.write() as tx:
        tx.execute(sa.delete(chat_job).where(chat_job.c.id == job_id))
        settled = beside(lambda tx: deliveries.settle(tx, delivery, status=200, now=store.now))
        deliveries.forget(tx, [job_id])
    settled.result(5)


@pytest.mark.parametrize("how", ["deleted", "purged"])
def test_an_outcome_that_comes_beside_a_delete_leaves_no_attempt(
    store: Store, beside: Beside, how: str
) -> None:
    job_id = store.submit()
    (claimed,) = store.claim()
    store.cancel(job_id)
    later = store.now + RETENTION.stored + 1

    def delete(tx: sa.Connection) -> None:
        if how == "deleted":
            jobs.delete(tx, job_id)
        else:
            jobs.purge(tx, now=later)

    with store.database.write() as tx:
        jobs.finish(tx, [outcome_of(claimed)], now=store.now, retention=RETENTION)
        deleted = beside(delete)
    deleted.result(5)
    assert store.attempts(job_id) == []


def test_jobs_that_end_together_open_their_deliveries_in_pieces(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deliveries, "OPENED_TOGETHER", 2)
    # 66,000 jobs of one provider were more than PostgreSQL's 65,535 parameters: none ever ended.
    hooked = [store.submit(webhook_sealed="sealed webhook") for _ in range(5)]
    store.submit()
    with store.database.write() as tx:
        jobs.fail_of_deleted_provider(tx, store.provider_id, now=store.now, retention=RETENTION)
        opened = tx.execute(sa.select(webhook_delivery.c.job_id)).scalars().all()
    assert sorted(opened) == sorted(hooked)


def test_of_two_who_revoke_the_last_two_admin_keys_the_second_sees_it(
    store: Store, beside: Beside
) -> None:
    with store.database.write() as tx:
        ann, ben = (
            access.add_key(
                tx, access.new_secret(), name=name, owner=name, role=Role.ADMIN, now=store.now
            )
            for name in ("ann", "ben")
        )
    remain: list[bool] = []

    def revoke(tx: sa.Connection, key_id: str) -> None:
        access.hold_admins(tx)
        access.revoke(tx, key_id, now=store.now)
        remain.append(access.any_admin(tx, now=store.now))

    with store.database.write() as tx:
        revoke(tx, ann)
        second = beside(lambda tx: revoke(tx, ben))
    second.result(5)
    assert remain == [True, False]
