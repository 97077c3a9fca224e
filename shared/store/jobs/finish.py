"""The ends of claims: each one conditional UPDATE, fenced by (worker, attempt).

A row that is no longer held was fenced: somebody else moved the job on meanwhile. Its result is
dropped, its attempt is still written, because the money may have been spent.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from shared.domain import JobState
from shared.store import deliveries, usage
from shared.store.jobs import gates
from shared.store.jobs.held import FENCED, fence_row, still_held
from shared.store.jobs.rows import Fence, Outcome, Retention
from shared.store.schema import chat_job, job_attempt, provider

# One statement for any number of rows: an UPDATE … RETURNING for each cost 0.9 ms of CPU a job.
_END = (
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
_ACCOUNTS: Final = sa.select(
    chat_job.c.id, chat_job.c.owner, chat_job.c.key_id, chat_job.c.provider_id, chat_job.c.model
).where(chat_job.c.id.in_(sa.bindparam("job_ids", expanding=True)))
# Locked against a delete only: an attempt that is written beside one would never be deleted.
_EXISTING: Final = (
    sa.select(chat_job.c.id)
    .where(chat_job.c.id.in_(sa.bindparam("job_ids", expanding=True)))
    .order_by(chat_job.c.id)
    .with_for_update(read=True, key_share=True)
)


def finish(
    tx: sa.Connection, outcomes: Sequence[Outcome], *, now: float, retention: Retention
) -> set[Fence]:
    """End these claims; returns those whose row was still held, the others were fenced."""
    held = still_held(tx, [outcome.fence for outcome in outcomes], lock=True)
    outcomes = _asked_anew(tx, outcomes)
    ends = [o for o in outcomes if o.fence in held and o.state is not JobState.QUEUED]
    returns = [o for o in outcomes if o.fence in held and o.state is JobState.QUEUED]
    if ends:
        tx.execute(_END, [_end_row(o, now=now, retention=retention) for o in ends])
        deliveries.open_for(tx, [o.job_id for o in ends], now=now)
    if returns:
        tx.execute(_REQUEUE, [_return_row(o) for o in returns])
    recorded = _record(tx, outcomes, held)
    usage.add(tx, _used(tx, [o for o in outcomes if o.fence[::2] in recorded], held, now=now))
    gates.apply(tx, [o.gate for o in outcomes if o.gate is not None], now=now)
    return held


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
            **{
                name: getattr(outcome.evidence, name)
                for name in outcome.evidence.__dataclass_fields__
            },
        }
        for outcome in outcomes
        if outcome.evidence is not None
    ]
    if any(row["fenced"] for row in rows):  # it may have been deleted while it ran
        found = tx.execute(_EXISTING, {"job_ids": [row["job_id"] for row in rows]})
        existing = set(found.scalars())
        rows = [row for row in rows if row["job_id"] in existing]
    if not rows:
        return set()
    insert = sqlite.insert if tx.dialect.name == "sqlite" else postgresql.insert
    # A batch that is tried again after an unclear commit must not count the money twice.
    statement = insert(job_attempt).on_conflict_do_nothing()
    written = tx.execute(statement.returning(job_attempt.c.job_id, job_attempt.c.attempt), rows)
    return {(job_id, attempt) for job_id, attempt in written}


def _used(
    tx: sa.Connection, outcomes: Sequence[Outcome], held: set[Fence], *, now: float
) -> Iterator[usage.Used]:
    """What these attempts add to the totals of whoever asked for them."""
    if not outcomes:
        return
    rows = tx.execute(_ACCOUNTS, {"job_ids": [outcome.job_id for outcome in outcomes]})
    accounts = {row.id: row for row in rows}
    for outcome in outcomes:
        evidence, account = outcome.evidence, accounts[outcome.job_id]
        assert evidence is not None  # noqa: S101 - it was recorded
        yield usage.Used(
            owner=account.owner,
            key_id=account.key_id,
            provider_id=account.provider_id,
            model=account.model,
            at=now,
            ended=outcome.fence in held and outcome.state is not JobState.QUEUED,
            completed=outcome.state is JobState.COMPLETED,
            seconds=evidence.ended_at - evidence.started_at,
            prompt_tokens=evidence.prompt_tokens,
            completion_tokens=evidence.completion_tokens,
        )
