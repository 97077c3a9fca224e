"""What a failure means: wait, try again, or end, as API.md's states say."""

from __future__ import annotations

from typing import Any

import pytest

from services.chat_worker import outcomes
from shared.domain import JobState
from shared.errors import (
    DeadlineExceeded,
    Interrupted,
    JobFailure,
    OutboundForbidden,
    UpstreamAuthenticationFailed,
    UpstreamInvalidAnswer,
    UpstreamLoading,
    UpstreamRateLimited,
    UpstreamRefused,
    UpstreamServerError,
    UpstreamStreamBroken,
    UpstreamTimeout,
    UpstreamTlsFailed,
    UpstreamUnreachable,
)
from shared.store.jobs import ClaimedJob, Target

NOT_SENT = [
    UpstreamUnreachable("x", sent=False),
    UpstreamTlsFailed("x", sent=False),
    UpstreamTimeout("x", sent=False, phase="connect"),
]
REFUSED_FOR_NOW = [
    UpstreamRateLimited("x", sent=True, refused_for_now=True, upstream_status=429),
    UpstreamLoading("x", sent=True, refused_for_now=True, upstream_status=503),
    UpstreamServerError("x", sent=True, refused_for_now=True, upstream_status=503),
]
AMBIGUOUS = [
    Interrupted(may_have_been_billed=True),
    UpstreamStreamBroken("x", sent=True, may_have_been_billed=True),
    UpstreamTimeout("x", sent=True, phase="first_byte", may_have_been_billed=True),
    UpstreamServerError("x", sent=True, upstream_status=502, may_have_been_billed=True),
    UpstreamServerError("x", sent=True, upstream_status=504, may_have_been_billed=True),
]
FINAL = [
    OutboundForbidden("x", sent=False),
    UpstreamAuthenticationFailed("x", sent=True, upstream_status=401),
    UpstreamRefused("x", sent=True, upstream_status=400),
    UpstreamServerError("x", sent=True, upstream_status=500),
    UpstreamInvalidAnswer("x", sent=True, upstream_status=200, may_have_been_billed=True),
    DeadlineExceeded(),
]


def names(failures: list[Any]) -> list[str]:
    return [f"{f.code}-{f.upstream_status or f.phase or ''}" for f in failures]


def job(**changes: Any) -> ClaimedJob:
    values: dict[str, Any] = {
        "id": "01J",
        "worker_id": "wrk_1",
        "attempt": 1,
        "target": Target("prov_1", "a", "http://h/c", "http://h/m", None, None, {}, 1),
        "request_id": None,
        "request_sealed": "",
        "on_interrupt": "fail",
        "on_unavailable": "wait",
        "interrupts": 0,
        "deadline": 2e9,
        "background": True,
        "owner": "ann",
        "key_id": "key_1",
        "model": "acme/m",
        "created_at": 1e9,
        "stream": False,
        "include_usage": False,
        "publishing": False,
    }
    return ClaimedJob(**values | changes)


def after(failure: JobFailure, **changes: Any) -> Any:
    return outcomes.after_failure(job(**changes), failure, tries=1, now=1000.0, gate=None)


@pytest.mark.parametrize(
    "failure", NOT_SENT + REFUSED_FOR_NOW, ids=names(NOT_SENT + REFUSED_FOR_NOW)
)
def test_what_provably_did_nothing_waits_in_the_queue_and_names_its_cause(
    failure: JobFailure,
) -> None:
    outcome = after(failure)
    assert (outcome.state, outcome.error_code) == (JobState.QUEUED, failure.code)
    assert not outcome.interrupted


@pytest.mark.parametrize(
    "failure", NOT_SENT + REFUSED_FOR_NOW, ids=names(NOT_SENT + REFUSED_FOR_NOW)
)
def test_a_job_that_does_not_wait_ends_with_the_error(failure: JobFailure) -> None:
    outcome = after(failure, on_unavailable="fail")
    assert (outcome.state, outcome.may_have_been_billed) == (JobState.FAILED, False)


@pytest.mark.parametrize("failure", NOT_SENT, ids=names(NOT_SENT))
def test_a_call_that_never_left_is_not_counted(failure: JobFailure) -> None:
    assert after(failure).extra_calls == -1


@pytest.mark.parametrize("failure", REFUSED_FOR_NOW, ids=names(REFUSED_FOR_NOW))
def test_a_call_that_was_refused_is_counted(failure: JobFailure) -> None:
    assert after(failure).extra_calls == 0


@pytest.mark.parametrize("failure", AMBIGUOUS, ids=names(AMBIGUOUS))
def test_by_default_nothing_ambiguous_is_repeated(failure: JobFailure) -> None:
    outcome = after(failure)
    assert (outcome.state, outcome.may_have_been_billed) == (JobState.FAILED, True)


@pytest.mark.parametrize("failure", AMBIGUOUS, ids=names(AMBIGUOUS))
def test_on_interrupt_retry_repeats_the_ambiguous_three_calls_in_all(failure: JobFailure) -> None:
    states = [after(failure, on_interrupt="retry", interrupts=n).state for n in range(3)]
    assert states == [JobState.QUEUED, JobState.QUEUED, JobState.FAILED]
    first, second = (after(failure, on_interrupt="retry", interrupts=n) for n in range(2))
    assert (first.not_before, second.not_before) == (1001.0, 1002.0)


@pytest.mark.parametrize("failure", FINAL, ids=names(FINAL))
def test_every_other_answer_is_final_whatever_the_job_allows(failure: JobFailure) -> None:
    assert after(failure, on_interrupt="retry").state is JobState.FAILED


@pytest.mark.parametrize(
    ("failure", "closes", "strikes", "opens"),
    [
        *[(f, True, False, False) for f in NOT_SENT + REFUSED_FOR_NOW],
        *[(f, False, True, False) for f in [*AMBIGUOUS, FINAL[3]]],
        *[(f, False, False, True) for f in (FINAL[1], FINAL[2], FINAL[4])],
        *[(f, False, False, False) for f in (FINAL[0], FINAL[5])],
    ],
)
def test_the_gate_learns_what_the_call_showed(
    failure: JobFailure, closes: bool, strikes: bool, opens: bool
) -> None:
    effect = outcomes.gate_effect(job(), failure, call_started_at=5.0)
    if effect is None:
        assert (closes, strikes, opens) == (False, False, False)
        return
    assert effect.strike is strikes
    assert (effect.cause is not None) is (closes or strikes)
    assert (effect.cause is None) is opens


def test_a_named_time_reaches_the_gate() -> None:
    failure = UpstreamRateLimited("x", sent=True, refused_for_now=True, retry_after=7.0)
    effect = outcomes.gate_effect(job(), failure, call_started_at=5.0)
    assert effect is not None
    assert effect.retry_after == 7.0


def test_a_release_at_shutdown_counts_as_nothing() -> None:
    outcome = outcomes.released(job())
    assert (outcome.state, outcome.extra_calls, outcome.interrupted) == (JobState.QUEUED, -1, False)
    assert outcome.gate is None


@pytest.mark.parametrize("failure", [*NOT_SENT, *REFUSED_FOR_NOW, FINAL[1]], ids=lambda f: f.code)
def test_what_did_nothing_may_be_asked_anew_of_a_changed_provider(failure: JobFailure) -> None:
    assert after(failure, on_unavailable="fail").did_nothing


@pytest.mark.parametrize("failure", [*AMBIGUOUS, *FINAL[2:]], ids=lambda f: f.code)
def test_what_may_have_cost_something_is_never_asked_anew(failure: JobFailure) -> None:
    assert not after(failure, on_unavailable="fail").did_nothing
