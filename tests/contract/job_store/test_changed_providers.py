"""A provider that was changed is asked anew: what its former self refused or earned is over."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from shared.domain import JobState
from shared.store.jobs import ClaimedJob, GateEffect
from shared.store.schema import provider
from tests.contract.job_store.conftest import Store, outcome_of, refused


def change(store: Store, **values: Any) -> None:
    """Change the provider as the registry does: its revision rises."""
    with store.database.write() as tx:
        tx.execute(sa.update(provider).values(revision=provider.c.revision + 1, **values))


def refuse_key(store: Store, claimed: ClaimedJob) -> None:
    """The provider answers 401 to this call."""
    gate = GateEffect(store.provider_id, claimed.target.revision, store.now)
    code = "upstream_authentication_failed"
    store.finish(outcome_of(claimed, JobState.FAILED, error_code=code, gate=gate, did_nothing=True))


def park(store: Store, claimed: ClaimedJob, *, revision: int, retry_after: float = 900) -> None:
    """The provider tells this call to come later."""
    gate = GateEffect(
        store.provider_id,
        revision,
        store.now,
        cause="upstream_rate_limited",
        retry_after=retry_after,
    )
    store.finish(outcome_of(claimed, JobState.QUEUED, error_code=gate.cause, gate=gate))


def test_a_job_refused_with_a_key_that_was_rotated_meanwhile_runs_with_the_new_one(
    store: Store,
) -> None:
    job_id = store.submit()
    (claimed,) = store.claim()
    change(store, api_key_sealed="the new one")
    refuse_key(store, claimed)
    assert store.state(job_id) is JobState.QUEUED
    (again,) = store.claim()
    assert again.target.api_key_sealed == "the new one"
    refuse_key(store, again)
    assert store.state(job_id) is JobState.FAILED


@pytest.mark.parametrize("change_", [{}, {"enabled": False}, {"deleted_at": 1.0}])
def test_it_fails_when_nothing_changed_or_the_provider_takes_no_jobs_any_more(
    store: Store, change_: dict[str, Any]
) -> None:
    job_id = store.submit()
    (claimed,) = store.claim()
    if change_:
        change(store, **change_)
    refuse_key(store, claimed)
    assert store.state(job_id) is JobState.FAILED


def test_an_answer_that_may_have_cost_something_ends_the_job_whatever_changed(
    store: Store,
) -> None:
    job_id = store.submit()
    (claimed,) = store.claim()
    change(store)
    gate = GateEffect(store.provider_id, 1, store.now, cause="upstream_server_error", strike=True)
    store.finish(outcome_of(claimed, JobState.FAILED, error_code=gate.cause, gate=gate))
    assert store.state(job_id) is JobState.FAILED


def test_a_change_opens_the_gate_at_once(store: Store) -> None:
    job_id = store.submit()
    (claimed,) = store.claim()
    park(store, claimed, revision=1)
    assert store.claim() == []
    assert store.get(job_id).gate_reason is not None
    change(store)
    assert store.get(job_id).gate_reason is None
    assert [job.id for job in store.claim()] == [job_id]


def test_a_late_answer_of_the_former_provider_closes_no_gate_of_the_new_one(store: Store) -> None:
    for _ in range(3):
        store.submit()
    first, second, third = store.claim()
    change(store)
    park(store, first, revision=2, retry_after=30)
    park(store, second, revision=1)
    assert store.get(second.id).gate_closed_until == store.now + 30
    store.finish(outcome_of(third, gate=GateEffect(store.provider_id, 1, store.now)))
    assert store.claim() == []  # an answer of the old one opens nothing either


def test_the_backoff_of_a_changed_provider_starts_anew(store: Store) -> None:
    job_id = store.submit()
    for _ in range(4):
        (claimed,) = store.claim(1)
        store.finish(
            outcome_of(
                claimed,
                JobState.QUEUED,
                error_code="upstream_unreachable",
                gate=refused(store, at=store.now),
            )
        )
        store.now = store.get(job_id).gate_closed_until or store.now
    change(store)
    (claimed,) = store.claim(1)
    gate = GateEffect(store.provider_id, 2, store.now, cause="upstream_unreachable")
    store.finish(outcome_of(claimed, JobState.QUEUED, error_code=gate.cause, gate=gate))
    assert store.get(job_id).gate_closed_until == store.now + 1
