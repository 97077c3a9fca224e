"""The ends of claims: each one conditional UPDATE, fenced by (worker, attempt).

A row that is no longer held was fenced: somebody else moved the job on meanwhile. Its result is
dropped, its attempt is still written, because the money may have been spent.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final, NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from shared.domain import JobState
from shared.store import deliveries, usage
from shared.store.among import among
from shared.store.jobs import gates
from shared.store.jobs.held import FENCED, fence_row
from shared.store.jobs.rows import Evidence, Fence, Finished, Outcome, Retention
from shared.store.prepared import Prepared
from shared.store.schema import chat_job, job_attempt, provider

# One statement for any number of rows: an UPDATE … RETURNING for each cost 0.9 ms of CPU a job.
_END: Final = Prepared(
    sa.update(chat_job)
    .where(*FENCED)
    .values(
        state=sa.bindparam("new_state"),
        calls=chat_job.c.calls + sa.bindparam("extra_calls"),
        version=chat_job.c.version + 1,
        completed_at=sa.bindparam("now"),
        expires_at=sa.bindparam("now")
        + sa.case((chat_job.c.store, sa.bindparam("stored")), else_=sa.bindparam("unstored")),
        result_sealed=sa.bindparam("result"),
        log_sealed=sa.bindparam("log"),
        log_chunks=sa.bindparam("chunks"),
        error_code=sa.bindparam("code"),
        error_sealed=sa.bindparam("error"),
        may_have_been_billed=sa.bindparam("billed"),
    )
)
_REQUEUE = (
    sa.update(chat_job)
    .where(*FENCED)
    .values(
        state=JobState.QUEUED.value,
        calls=chat_job.c.calls + sa.bindparam("extra_calls"),
        version=chat_job.c.version + 1,
        worker_id=None,
        # A job of which no call has begun has not started, whoever claimed it.
        started_at=sa.case(
            (chat_job.c.calls + sa.bindparam("extra_calls") > 0, chat_job.c.started_at),
            else_=None,
        ),
        not_before=sa.bindparam("not_before_"),
        interrupts=chat_job.c.interrupts + sa.bindparam("interrupted"),
        last_cause=sa.bindparam("code"),
        # Whoever returns a job published nothing of it, even where it had been about to.
        publishing=sa.false(),
    )
)


_TAKING_JOBS: Final = sa.select(provider.c.id, provider.c.revision).where(
    provider.c.id.in_(sa.bindparam("provider_ids", expanding=True)),
    provider.c.deleted_at.is_(None),
    provider.c.enabled.is_(True),
)
# All that a batch needs of its rows. Locked in the order of the ids, so that two who lock the same
# rows cannot wait for each other; against a delete as well: an attempt that is written beside one
# would never be deleted. (No lock on SQLite, where the whole transaction holds it.)
_ROWS: Final = Prepared(
    sa.select(
        chat_job.c.id,
        chat_job.c.worker_id,
        chat_job.c.attempt,
        chat_job.c.state,
        chat_job.c.webhook_sealed.is_not(None).label("hooked"),
    )
    .where(among(chat_job.c.id, "job_ids"))
    .order_by(chat_job.c.id)
    .with_for_update(key_share=True)
)
# Of a claim that holds no attempt was ever written: whatever writes one ends the claim with it. A
# batch that is tried again after an unclear commit, whose claims do not hold any more, must not
# count the money twice.
_RECORD: Final = Prepared(sa.insert(job_attempt))
_RECORD_FENCED: Final = {
    name: insert(job_attempt)
    .on_conflict_do_nothing()
    .returning(job_attempt.c.job_id, job_attempt.c.attempt)
    for name, insert in (("sqlite", sqlite.insert), ("postgresql", postgresql.insert))
}
_ENDS: Final = frozenset((JobState.COMPLETED, JobState.FAILED))
_EVIDENCE: Final = tuple(Evidence.__dataclass_fields__)


class _Row(NamedTuple):
    """What `_ROWS` finds of one job."""

    id: str
    worker_id: str | None
    attempt: int
    state: str
    hooked: bool

    def holds(self, claim: Fence) -> bool:
        """Whether the row is this claim's."""
        return self.state == JobState.IN_PROGRESS and claim[1:] == (self.worker_id, self.attempt)


def finish(
    tx: sa.Connection, outcomes: Sequence[Outcome], *, now: float, retention: Retention
) -> Finished:
    """End these claims."""
    found = _ROWS.all(tx, {"job_ids": list({outcome.job_id for outcome in outcomes})})
    rows = {row.id: row for row in (_Row(*values) for values in found)}
    held = {o.fence for o in outcomes if o.job_id in rows and rows[o.job_id].holds(o.fence)}
    outcomes = _asked_anew(tx, outcomes)
    ends = [o for o in outcomes if o.fence in held and o.state in _ENDS]
    returns = [o for o in outcomes if o.fence in held and o.state is JobState.QUEUED]
    hooked = [o.job_id for o in ends if rows[o.job_id].hooked]
    if ends:
        _END.many(tx, [_end_row(o, now=now, retention=retention) for o in ends])
    if hooked:
        deliveries.open_for(tx, hooked, now=now)
    if returns:
        tx.execute(_REQUEUE, [_return_row(o) for o in returns])
    # A job may have been deleted while it ran: of that one only what was used is written.
    recorded = _record(tx, [o for o in outcomes if o.job_id in rows], held)
    forgotten = {o.fence[::2] for o in outcomes if o.job_id not in rows and _countable(o)}
    counted = recorded | forgotten
    usage.add(tx, [_used(o, held, now=now) for o in outcomes if o.fence[::2] in counted])
    gates.apply(tx, [o.gate for o in outcomes if o.gate is not None], now=now)
    return Finished(held, bool(hooked))


def _asked_anew(tx: sa.Connection, outcomes: Sequence[Outcome]) -> Sequence[Outcome]:
    """The outcomes, where a job that an outdated provider refused returns to the queue."""
    refused = [o for o in outcomes if o.did_nothing and o.state is JobState.FAILED]
    called = {o.fence: o.gate for o in refused if o.gate is not None}
    if not called:
        return outcomes
    provider_ids = list({gate.provider_id for gate in called.values()})
    rows = tx.execute(_TAKING_JOBS, {"provider_ids": provider_ids})
    revisions = {row.id: row.revision for row in rows}
    anew = {
        fence
        for fence, gate in called.items()
        if revisions.get(gate.provider_id, gate.revision) != gate.revision
    }
    return [
        replace(o, state=JobState.QUEUED, error_sealed=None, log_sealed=None)
        if o.fence in anew
        else o
        for o in outcomes
    ]


def _end_row(outcome: Outcome, *, now: float, retention: Retention) -> dict[str, object]:
    return _move_row(outcome) | {
        "new_state": outcome.state.value,
        "now": now,
        "stored": retention.stored,
        "unstored": retention.unstored,
        "result": outcome.result_sealed,
        "log": outcome.log_sealed,
        "chunks": None if outcome.log_sealed is None else outcome.log_chunks,
        "error": outcome.error_sealed,
        "billed": outcome.may_have_been_billed,
    }


def _return_row(outcome: Outcome) -> dict[str, object]:
    return _move_row(outcome) | {
        "not_before_": outcome.not_before,
        "interrupted": int(outcome.interrupted),
    }


def _move_row(outcome: Outcome) -> dict[str, object]:
    return fence_row(outcome.fence) | {
        "extra_calls": outcome.extra_calls,
        "code": outcome.error_code,
    }


def _record(
    tx: sa.Connection, outcomes: Iterable[Outcome], held: set[Fence]
) -> set[tuple[str, int]]:
    """Write the evidence; (job id, attempt) of what was not written before."""
    rows = [
        {
            "job_id": outcome.job_id,
            "attempt": outcome.attempt,
            "worker_id": outcome.worker_id,
            "fenced": outcome.fence not in held,
            **{name: getattr(outcome.evidence, name) for name in _EVIDENCE},
        }
        for outcome in outcomes
        if outcome.evidence is not None
    ]
    ours = [row for row in rows if not row["fenced"]]
    if ours:
        _RECORD.many(tx, ours)
    recorded = {(row["job_id"], row["attempt"]) for row in ours}
    if len(ours) < len(rows):
        others = [row for row in rows if row["fenced"]]
        written = tx.execute(_RECORD_FENCED[tx.dialect.name], others)
        recorded |= {(job_id, attempt) for job_id, attempt in written}
    return recorded


def _countable(outcome: Outcome) -> bool:
    """Whether the use of a deleted job is to be counted: no attempt says that it was before."""
    return outcome.evidence is not None and not outcome.doubtful


def _used(outcome: Outcome, held: set[Fence], *, now: float) -> usage.Used:
    """What this attempt adds to the totals of whoever asked for it."""
    evidence, account = outcome.evidence, outcome.account
    assert evidence is not None and account is not None  # noqa: S101, PT018 - they come together
    return usage.Used(
        *account,
        at=now,
        ended=outcome.fence in held and outcome.state in _ENDS,
        completed=outcome.state is JobState.COMPLETED,
        cut_short=outcome.state is JobState.CANCELLED,
        seconds=evidence.ended_at - evidence.started_at,
        prompt_tokens=evidence.prompt_tokens,
        completion_tokens=evidence.completion_tokens,
        chunks=outcome.log_chunks or 0,
    )
