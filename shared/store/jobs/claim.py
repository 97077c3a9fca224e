"""The claim: which queued jobs a worker takes next.

Claims are serialised (an advisory lock on PostgreSQL, BEGIN IMMEDIATE on SQLite), so that both
databases run the same statements and `max_concurrency` holds exactly. Lanes, one a provider, are
found by a skip scan over the partial index of queued rows: the cost grows with lanes, not rows.
Conditions on `state` are literal on purpose (see `store.schema`).

A *suspect* has lost two workers already; the next loss would poison it. Suspects run one at a
time, so that no job is poisoned for having run beside one that kills its workers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import sqlalchemy as sa

from shared.domain import MAX_LOSSES, JobState
from shared.store.jobs import gates
from shared.store.jobs.rows import ClaimedJob, Retention, Target
from shared.store.jobs.submit import fail_of_deleted_provider
from shared.store.schema import chat_job, provider

SUSPECT_LOSSES: Final = MAX_LOSSES - 1
CLAIM_LOCK: Final = 0x647261676F6D616E  # "dragoman"; any constant that nobody else uses

_HAS_WORK = sa.text("SELECT 1 FROM chat_job WHERE state = 'queued' LIMIT 1")

_LANES = sa.text(
    """
    WITH RECURSIVE lane(provider_id) AS (
        SELECT min(provider_id) FROM chat_job WHERE state = 'queued'
        UNION ALL
        SELECT (
            SELECT min(job.provider_id) FROM chat_job AS job
            WHERE job.state = 'queued' AND job.provider_id > lane.provider_id
        )
        FROM lane WHERE lane.provider_id IS NOT NULL
    )
    SELECT lane.provider_id, provider.enabled, provider.deleted_at, provider.max_concurrency,
        gate.reason AS gate_reason, gate.closed_until AS gate_closed_until,
        (
            SELECT count(*) FROM chat_job AS probe
            WHERE probe.id = gate.probe_job AND probe.state = 'in_progress'
        ) AS probing,
        CASE WHEN provider.max_concurrency IS NULL THEN 0 ELSE (
            SELECT count(*) FROM chat_job AS running
            WHERE running.state = 'in_progress' AND running.provider_id = provider.id
        ) END AS running
    FROM lane
    JOIN provider ON provider.id = lane.provider_id
    LEFT JOIN provider_gate AS gate
        ON gate.provider_id = lane.provider_id AND gate.provider_revision = provider.revision
    """
)

_HEAD: Final = """
    SELECT id, on_unavailable, losses FROM chat_job
    WHERE state = 'queued' {only} AND provider_id = :provider_id
        AND not_before <= :now AND deadline > :now AND losses < :losses_allowed
    ORDER BY id LIMIT :room
    """
_OLDEST = sa.text(_HEAD.format(only=""))
_OLDEST_FAIL = sa.text(_HEAD.format(only="AND on_unavailable = 'fail'"))


# 2 is SUSPECT_LOSSES, literal as the condition of its partial index.
_SUSPECT_RUNS = sa.text(
    "SELECT 1 FROM chat_job WHERE losses >= 2 AND state = 'in_progress' LIMIT 1"
)
# Built once: putting a statement together costs more than running it.
_TAKE: Final = (
    sa.update(chat_job)
    .where(
        chat_job.c.id.in_(sa.bindparam("chosen", expanding=True)),
        sa.text("chat_job.state = 'queued'"),
    )
    .values(
        state=JobState.IN_PROGRESS.value,
        worker_id=sa.bindparam("claimer"),
        attempt=chat_job.c.attempt + 1,
        calls=chat_job.c.calls + 1,
        started_at=sa.func.coalesce(chat_job.c.started_at, sa.bindparam("now", type_=sa.Double())),
        version=chat_job.c.version + 1,
    )
    .returning(
        chat_job.c.id,
        chat_job.c.attempt,
        chat_job.c.provider_id,
        chat_job.c.request_id,
        chat_job.c.request_sealed,
        chat_job.c.on_interrupt,
        chat_job.c.on_unavailable,
        chat_job.c.interrupts,
        chat_job.c.deadline,
        chat_job.c.background,
    )
)
_TARGETS: Final = sa.select(*[provider.c[name] for name in Target.__dataclass_fields__]).where(
    provider.c.id.in_(sa.bindparam("provider_ids", expanding=True))
)
_LOCK: Final = sa.select(sa.func.pg_advisory_xact_lock(CLAIM_LOCK))


def has_work(tx: sa.Connection) -> bool:
    """A plain look, so that an idle worker takes no write lock."""
    return tx.execute(_HAS_WORK).first() is not None


def claim(
    tx: sa.Connection, *, worker_id: str, want: int, now: float, retention: Retention
) -> Sequence[ClaimedJob]:
    """Take up to `want` jobs that can start now, oldest first, at most `want` in all.

    A claimed row is `in_progress` and counts as one call begun: it is committed before any byte
    leaves, so that a dead worker's job is never thought unsent when it was sent.
    Jobs of a deleted provider that are found queued end here.
    """
    if tx.dialect.name != "sqlite":
        tx.execute(_LOCK)
    allowed = SUSPECT_LOSSES if tx.execute(_SUSPECT_RUNS).first() else MAX_LOSSES
    view = {"now": now, "room": want, "losses_allowed": allowed}
    candidates: list[sa.Row[Any]] = []
    probes: dict[str, str] = {}
    for lane in tx.execute(_LANES).all():
        if lane.deleted_at is not None:
            fail_of_deleted_provider(tx, lane.provider_id, now=now, retention=retention)
        elif lane.enabled:
            heads, probe = _heads(tx, lane, view)
            candidates.extend(heads)
            if probe is not None:
                probes[lane.provider_id] = probe
    chosen = _oldest(candidates, want)
    if not chosen:
        return []
    for provider_id, probe in probes.items():
        if probe in chosen:
            gates.set_probe(tx, provider_id, probe)
    return _take(tx, chosen, worker_id=worker_id, now=now)


def _oldest(candidates: Iterable[sa.Row[Any]], want: int) -> Sequence[str]:
    """The ids of the `want` oldest, with one suspect among them at most."""
    chosen: list[str] = []
    suspects = 0
    for row in sorted(candidates, key=lambda row: str(row.id)):
        suspects += row.losses >= SUSPECT_LOSSES
        if len(chosen) < want and (row.losses < SUSPECT_LOSSES or suspects == 1):
            chosen.append(row.id)
    return chosen


def _heads(
    tx: sa.Connection, lane: sa.Row[Any], view: dict[str, Any]
) -> tuple[Sequence[sa.Row[Any]], str | None]:
    """The head of a lane that may start, and which of it probes a closed gate."""
    room = view["room"]
    if lane.max_concurrency is not None:
        room = min(room, lane.max_concurrency - lane.running)
    if room <= 0:
        return [], None
    view = {**view, "provider_id": lane.provider_id, "room": room}
    if lane.gate_reason is None:
        return tx.execute(_OLDEST, view).all(), None
    # A closed gate holds back only those who wait; `on_unavailable: fail` asks at once.
    urgent = tx.execute(_OLDEST_FAIL, view).all()
    if lane.gate_closed_until > view["now"] or lane.probing or len(urgent) >= room:
        return urgent, None
    waiting = (row for row in tx.execute(_OLDEST, view) if row.on_unavailable != "fail")
    probe = next(waiting, None)
    return ([*urgent, probe], probe.id) if probe else (urgent, None)


def _take(
    tx: sa.Connection, chosen: Sequence[str], *, worker_id: str, now: float
) -> Sequence[ClaimedJob]:
    rows = tx.execute(_TAKE, {"chosen": chosen, "claimer": worker_id, "now": now}).all()
    targets = _targets(tx, {row.provider_id for row in rows})
    jobs = [
        ClaimedJob(
            id=row.id,
            worker_id=worker_id,
            attempt=row.attempt,
            target=targets[row.provider_id],
            request_id=row.request_id,
            request_sealed=row.request_sealed,
            on_interrupt=row.on_interrupt,
            on_unavailable=row.on_unavailable,
            interrupts=row.interrupts,
            deadline=row.deadline,
            background=row.background,
        )
        for row in rows
    ]
    return sorted(jobs, key=lambda job: job.id)


def _targets(tx: sa.Connection, provider_ids: Iterable[str]) -> dict[str, Target]:
    rows = tx.execute(_TARGETS, {"provider_ids": list(provider_ids)})
    return {row.id: Target(*row) for row in rows}
