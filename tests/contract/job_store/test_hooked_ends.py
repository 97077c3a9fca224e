"""Whatever ends a job opens the delivery of its webhook."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import sqlalchemy as sa

from shared.domain import MAX_LOSSES, JobState
from shared.store import jobs, providers
from shared.store.jobs.sweep import FORGOTTEN_AFTER
from tests.contract.job_store.conftest import HOOK, RETENTION, Store, outcome_of


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
        found = store.deliveries()
        assert plain not in found
        types = f"chat.completion.{state}", f"response.{state}"
        assert (found[hooked].type, found[other].type) == types, end
        for job_id in (hooked, other):
            row = found[job_id]
            assert (row.id, row.status, row.attempts) == (f"evt_{job_id}", "pending", 0)
            assert row.created_at == row.next_at == store.get(job_id).completed_at
