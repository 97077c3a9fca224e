"""What the end of a call means: for the job, for the job's next try, for the provider's gate.

Pure functions of the claimed job and of what happened, in the words of `API.md`'s states:
provably not sent and refused for the moment may wait; after the bytes left a loss is ambiguous;
every other answer is final.
"""

from __future__ import annotations

from typing import Any, Final

from shared.domain import MAX_CALLS, JobState, OnInterrupt, OnUnavailable
from shared.errors import (
    DeadlineExceeded,
    Interrupted,
    JobFailure,
    OutboundForbidden,
    Unreadable,
    UpstreamAuthenticationFailed,
    UpstreamFailure,
    UpstreamServerError,
    UpstreamStreamBroken,
    UpstreamTimeout,
)
from shared.store.jobs import ClaimedJob, GateEffect, Outcome

ABANDONED: Final = "abandoned"  # how a call ended whose job was cancelled, or another's, meanwhile
AMBIGUOUS_STATUSES: Final = frozenset({502, 504})  # a gateway gave up, its upstream may have not
KEY_PAUSE: Final = 30.0  # seconds until a job is claimed again whose master key was not there
FIRST_RETRY_PAUSE: Final = 1.0  # seconds before a second ambiguous call, doubled for the third


def may_be_tried_again(failure: JobFailure) -> bool:
    """Whether the provider provably did nothing: not sent, or refused for the moment."""
    if isinstance(failure, OutboundForbidden) or not isinstance(failure, UpstreamFailure):
        return False
    return not failure.sent or failure.refused_for_now


def is_ambiguous(failure: JobFailure) -> bool:
    """Whether the provider may have done the work although no answer arrived."""
    if isinstance(failure, UpstreamServerError):
        return failure.upstream_status in AMBIGUOUS_STATUSES
    if isinstance(failure, UpstreamTimeout | UpstreamStreamBroken):
        return failure.sent
    return isinstance(failure, Interrupted)


def gate_effect(
    job: ClaimedJob, failure: JobFailure | None, *, call_started_at: float
) -> GateEffect | None:
    """What this call showed of its provider; None where it showed nothing."""
    called = (job.target.id, job.target.revision, call_started_at)
    waits = job.on_unavailable == OnUnavailable.WAIT
    if failure is None:
        return GateEffect(*called)
    if isinstance(failure, OutboundForbidden | DeadlineExceeded):
        return None
    if may_be_tried_again(failure):
        wait = failure.retry_after
        return GateEffect(*called, cause=failure.code, retry_after=wait, waits=waits)
    if is_ambiguous(failure) or isinstance(failure, UpstreamServerError):
        return GateEffect(*called, cause=failure.code, strike=True, waits=waits)
    return GateEffect(*called)  # it answered, if not to our liking


def did_nothing(failure: JobFailure) -> bool:
    """Whether the provider provably did no work: it was not reached, or refused the call."""
    return may_be_tried_again(failure) or isinstance(failure, UpstreamAuthenticationFailed)


def after_failure(
    job: ClaimedJob,
    failure: JobFailure,
    *,
    tries: int,
    now: float,
    gate: GateEffect | None,
    seen: bool = False,
) -> Outcome:
    """The outcome of a claim whose last of `tries` calls ended in this failure.

    `seen` says that a reader may have seen a chunk of it: such a job never runs again. The error
    document of a failed job is sealed by the caller, who holds the sealer.
    """
    extra_calls = tries - 1
    if seen:
        return _failed(job, failure, gate=gate, extra_calls=extra_calls)
    if may_be_tried_again(failure) and job.on_unavailable == OnUnavailable.WAIT:
        begun = isinstance(failure, UpstreamFailure) and failure.sent
        return _outcome(
            job,
            JobState.QUEUED,
            gate=gate,
            error_code=failure.code,
            extra_calls=extra_calls if begun else extra_calls - 1,
        )
    again = job.on_interrupt == OnInterrupt.RETRY and job.interrupts + 1 < MAX_CALLS
    if is_ambiguous(failure) and again:
        return _outcome(
            job,
            JobState.QUEUED,
            gate=gate,
            error_code=failure.code,
            extra_calls=extra_calls,
            interrupted=True,
            not_before=now + FIRST_RETRY_PAUSE * 2.0**job.interrupts,
        )
    return _failed(
        job, failure, gate=gate, extra_calls=extra_calls, did_nothing=did_nothing(failure)
    )


def released(job: ClaimedJob) -> Outcome:
    """The outcome of a claim given back at shutdown before its bytes left: it counts as nothing."""
    return _outcome(job, JobState.QUEUED, extra_calls=-1)


def postponed(job: ClaimedJob, *, now: float) -> Outcome:
    """The outcome of a claim that no key here opens: it waits for a worker, or a keyring, that can.

    Nothing was called, so nothing is counted; only the deadline ends such waiting.
    """
    return _outcome(
        job,
        JobState.QUEUED,
        error_code=Unreadable.code,
        extra_calls=-1,
        not_before=now + KEY_PAUSE,
    )


def _failed(job: ClaimedJob, failure: JobFailure, **rest: Any) -> Outcome:
    return _outcome(
        job,
        JobState.FAILED,
        error_code=failure.code,
        may_have_been_billed=failure.may_have_been_billed,
        **rest,
    )


def _outcome(job: ClaimedJob, state: JobState, **rest: Any) -> Outcome:
    return Outcome(job_id=job.id, worker_id=job.worker_id, attempt=job.attempt, state=state, **rest)
