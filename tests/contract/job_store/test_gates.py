"""A gate leaves a provider alone for a while, and lets one job at a time find out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa

from shared.domain import GateReason, JobState
from shared.store.jobs import ClaimedJob, GateEffect
from shared.store.jobs.gates import OPENED_KEPT
from shared.store.schema import provider_gate
from tests.contract.job_store.conftest import Store, outcome_of, refused


def close(store: Store, *, retry_after: float | None = None) -> None:
    """One job finds the provider away and goes back to the queue."""
    (claimed,) = store.claim(1)
    store.finish(
        outcome_of(
            claimed,
            JobState.QUEUED,
            error_code="upstream_unreachable",
            gate=refused(store, at=store.now, retry_after=retry_after),
        )
    )


def test_a_closed_gate_holds_waiting_jobs_and_says_why(store: Store) -> None:
    job_id = store.submit()
    close(store)
    assert store.claim() == []
    job = store.get(job_id)
    assert job.gate_reason is GateReason.PARKED
    assert job.gate_closed_until == store.now + 1.0


def test_a_named_time_is_kept_within_bounds(store: Store) -> None:
    job_id = store.submit()
    close(store, retry_after=86_400)
    job = store.get(job_id)
    assert (job.gate_reason, job.gate_closed_until) == (GateReason.RETRY_AFTER, store.now + 900)


def test_jobs_that_do_not_wait_pass_a_closed_gate(store: Store) -> None:
    store.submit()
    close(store)
    urgent = store.submit(on_unavailable="fail")
    assert [job.id for job in store.claim()] == [urgent]


@pytest.mark.parametrize("strike", [True, False])
def test_calls_that_do_not_wait_lengthen_no_pause_that_they_ignore(
    store: Store, strike: bool
) -> None:
    waits = store.submit()
    close(store)
    until = store.get(waits).gate_closed_until
    for _ in range(8):
        store.now += 0.1
        store.submit(on_unavailable="fail")
        (urgent,) = store.claim()
        gate = replace(refused(store, at=store.now), strike=strike, waits=False)
        store.finish(outcome_of(urgent, JobState.FAILED, error_code="x", gate=gate))
    assert store.get(waits).gate_closed_until == until
    store.now += 1
    (probe,) = store.claim()
    began = store.now
    store.submit(on_unavailable="fail")
    (urgent,) = store.claim()
    store.now += 0.1
    gate = replace(refused(store, at=store.now), strike=strike, waits=False)
    store.finish(outcome_of(urgent, JobState.FAILED, error_code="x", gate=gate))
    store.finish(outcome_of(probe, gate=GateEffect(store.provider_id, 1, began)))
    waits = store.submit()
    assert store.get(waits).gate_reason is None, "the probe's answer counts"
    close(store)
    store.submit(on_unavailable="fail")
    (urgent,) = store.claim()
    named = refused(store, at=store.now, retry_after=30)
    named = replace(named, waits=False)  # the provider's own word counts
    store.finish(outcome_of(urgent, JobState.FAILED, error_code="x", gate=named))
    assert store.get(waits).gate_closed_until == store.now + 30


def test_past_its_time_one_probe_goes_and_an_answer_opens_the_gate(store: Store) -> None:
    ids = [store.submit() for _ in range(3)]
    close(store)
    store.now += 1.0
    (probe,) = store.claim()
    assert probe.id == ids[0]
    assert store.claim() == []
    store.finish(outcome_of(probe, gate=GateEffect(store.provider_id, 1, store.now)))
    assert [job.id for job in store.claim()] == ids[1:]


@pytest.mark.parametrize("end", ["cancelled", "dead worker"])
def test_a_prober_that_is_gone_blocks_nothing(store: Store, end: str) -> None:
    for _ in range(2):
        store.submit()
    close(store)
    store.now += 1.0
    (probe,) = store.claim()
    if end == "cancelled":
        store.cancel(probe.id)
    else:
        store.kill(store.worker)
        store.sweep()
    assert len(store.claim()) == 1


def test_failing_probes_double_the_pause_up_to_a_minute(store: Store) -> None:
    job_id = store.submit()
    pauses = []
    for _ in range(8):
        close(store)
        until = store.get(job_id).gate_closed_until
        assert until is not None
        pauses.append(until - store.now)
        store.now = until
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60]


def test_many_calls_that_fail_together_close_the_gate_once(store: Store) -> None:
    for _ in range(20):
        store.submit()
    claims = store.claim(20)
    begun = store.now
    store.now += 1
    for half in (claims[:10], claims[10:]):
        store.finish(
            *[
                outcome_of(
                    job,
                    JobState.QUEUED,
                    error_code="upstream_unreachable",
                    gate=refused(store, at=begun),
                )
                for job in half
            ]
        )
    assert store.get(claims[0].id).gate_closed_until == store.now + 1.0


def test_an_answer_to_a_call_older_than_the_closing_opens_nothing(store: Store) -> None:
    old = store.submit()
    store.submit()
    (first, second) = store.claim()
    assert first.id == old
    store.now += 1
    store.finish(
        outcome_of(
            second,
            JobState.QUEUED,
            error_code="upstream_rate_limited",
            gate=refused(store, at=store.now, retry_after=30),
        )
    )
    store.finish(outcome_of(first, gate=GateEffect(store.provider_id, 1, store.now - 1)))
    assert store.claim() == []


def test_five_broken_calls_in_a_row_close_the_gate_and_an_answer_between_resets(
    store: Store,
) -> None:
    def end(strike: bool) -> None:
        store.submit()
        (job,) = store.claim(1)
        gate = GateEffect(
            store.provider_id,
            1,
            store.now,
            cause="upstream_server_error" if strike else None,
            strike=strike,
        )
        store.finish(
            outcome_of(job, JobState.FAILED, error_code="upstream_server_error", gate=gate)
        )

    for strike in [True] * 4 + [False] + [True] * 4:
        end(strike)
    store.submit()
    assert store.get(store.submit()).gate_reason is None
    (job, _) = store.claim()
    gate = GateEffect(store.provider_id, 1, store.now, cause="upstream_server_error", strike=True)
    store.finish(outcome_of(job, JobState.FAILED, error_code="upstream_server_error", gate=gate))
    store.submit()
    assert store.claim() == []


def test_a_job_that_only_ever_waited_at_the_gate_names_what_closed_it(store: Store) -> None:
    first, second = store.submit(), store.submit(deadline=store.now + 0.5)
    close(store)
    store.now += 0.6
    assert list(store.sweep().ended) == [second]
    assert store.get(second).last_cause == "upstream_unreachable"
    assert store.state(first) is JobState.QUEUED


def test_of_two_workers_that_close_a_gate_the_later_time_holds(store: Store) -> None:
    job_id, other = store.submit(), store.submit()
    first, second = store.claim(2)
    store.now += 1

    def told_to_wait(job: ClaimedJob, retry_after: float | None) -> None:
        gate = refused(store, at=store.now, retry_after=retry_after)
        store.finish(outcome_of(job, JobState.QUEUED, error_code=gate.cause, gate=gate))

    told_to_wait(first, 900)
    told_to_wait(second, None)
    for waiting in (job_id, other):
        job = store.get(waiting)
        assert (job.gate_reason, job.gate_closed_until) == (
            GateReason.RETRY_AFTER,
            store.now + 900,
        )


def test_behind_a_closed_gate_tiers_are_strict_and_owners_take_turns_too(store: Store) -> None:
    store.provider_id = store.add_provider("narrow", max_concurrency=1)
    store.submit()
    close(store, retry_after=60)
    for tier in ("flex", "default"):
        for owner in ("ann", "ann", "ben"):
            store.submit(on_unavailable="fail", owner=owner, service_tier=tier)
    served: list[str] = []
    for _ in range(4):
        (taken,) = store.claim(turn=served[-1] if served else "")
        served.append(taken.owner)
        store.finish(outcome_of(taken))
    assert served == ["ann", "ben", "ann", "ben"]


def reopened(store: Store) -> tuple[ClaimedJob, float]:
    """A call that outlasts a closing of the gate and the answer that opens it; when it began."""
    store.submit(on_unavailable="fail")
    (slow,) = store.claim(1)
    began = store.now
    store.now += 1
    store.submit()
    close(store)
    store.now += 1
    (probe,) = store.claim()
    store.finish(outcome_of(probe, gate=GateEffect(store.provider_id, 1, store.now)))
    return slow, began


def test_a_late_failure_of_a_call_older_than_the_opening_closes_nothing(store: Store) -> None:
    """The answer deletes what was known of the gate: it closed again, for a second."""
    slow, began = reopened(store)
    store.now += 1
    gate = refused(store, at=began)
    store.finish(outcome_of(slow, JobState.FAILED, error_code=gate.cause, gate=gate))
    assert store.get(store.submit()).gate_reason is None
    assert len(store.claim()) == 1


def test_a_call_that_began_after_the_opening_closes_the_gate_again(store: Store) -> None:
    reopened(store)
    store.now += 1
    store.submit()
    close(store)
    assert store.claim() == []


def test_an_open_gate_is_written_by_no_answer_and_forgotten_after_a_while(store: Store) -> None:
    reopened(store)

    def rows() -> list[Any]:
        with store.database.read() as tx:
            return list(tx.execute(sa.select(provider_gate)))

    def answer() -> list[Any]:
        store.submit()
        (job,) = store.claim(1)
        store.finish(outcome_of(job, gate=GateEffect(store.provider_id, 1, store.now)))
        return rows()

    kept = rows()
    store.now += 10
    assert answer() == kept != []
    store.now += OPENED_KEPT
    assert answer() == []


def test_an_overtaken_failure_closes_nothing(store: Store) -> None:
    store.submit()
    (job,) = store.claim(1)
    gate = replace(refused(store, at=store.now), overtaken=True)
    store.finish(outcome_of(job, JobState.QUEUED, error_code=gate.cause, gate=gate))
    assert len(store.claim()) == 1
