"""The claim: which queued jobs a worker takes next.

Claims are serialised (an advisory lock on PostgreSQL, BEGIN IMMEDIATE on SQLite), so that both
databases run the same statements and `max_concurrency` holds exactly. Whose turn it is says
`lanes`.

A *suspect* has lost two workers already; the next loss would poison it. Suspects run one at a
time, so that no job is poisoned for having run beside one that kills its workers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import sqlalchemy as sa

from shared.domain import MAX_LOSSES, JobState
from shared.store.among import among
from shared.store.jobs import gates, lanes, waiting
from shared.store.jobs.lanes import SUSPECT_LOSSES
from shared.store.jobs.rows import ClaimedJob, Retention, Target
from shared.store.jobs.submit import fail_of_deleted_provider
from shared.store.prepared import Prepared
from shared.store.schema import chat_job

CLAIM_LOCK: Final = 0x647261676F6D616E  # "dragoman"; any constant that nobody else uses

_HAS_WORK: Final = Prepared(sa.text("SELECT 1 FROM chat_job WHERE state = 'queued' LIMIT 1"))
_FACTS: Final = tuple(  # of a claimed row, in the order of their fields
    name
    for name in ClaimedJob.__dataclass_fields__
    if name not in ("id", "worker_id", "attempt", "target")
)
_TAKE: Final = Prepared(
    sa.update(chat_job)
    .where(
        among(chat_job.c.id, "chosen"),
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
        *[chat_job.c[name] for name in _FACTS],
    )
)
_LOCK: Final = sa.select(sa.func.pg_advisory_xact_lock(CLAIM_LOCK))


def has_work(tx: sa.Connection) -> bool:
    """A plain look, so that an idle worker takes no write lock."""
    return _HAS_WORK.first(tx, {}) is not None


def claim(
    tx: sa.Connection,
    *,
    worker_id: str,
    want: int,
    now: float,
    retention: Retention,
    turn: str = "",
) -> Sequence[ClaimedJob]:
    """Take up to `want` jobs that can start now, in the order of their turns.

    `turn` is the owner of the job that this worker took last: the others come first.
    A claimed row is `in_progress` and counts as one call begun: it is committed before any byte
    leaves, so that a dead worker's job is never thought unsent when it was sent.
    Jobs of a deleted provider that are found queued end here.
    """
    if tx.dialect.name != "sqlite":
        tx.execute(_LOCK)
    found = waiting.lanes(tx)
    if not found:
        return []
    allowed = SUSPECT_LOSSES if found[0].suspect_runs else MAX_LOSSES
    view = lanes.View(want, now, allowed)
    targets = {}
    for about in waiting.providers(tx, [lane.provider_id for lane in found]):
        provider_id = about.target.id
        if about.deleted_at is not None:
            fail_of_deleted_provider(tx, provider_id, now=now, retention=retention)
        elif about.enabled:
            view.rooms[provider_id] = lanes.room_of(about, view)
            targets[provider_id] = about.target
    open_lanes = [lane for lane in found if lane.provider_id in view.rooms]
    chosen = lanes.choose(tx, open_lanes, view, turn=turn)
    if not chosen:
        return []
    probes = {of: room.probe for of, room in view.rooms.items() if room.probe is not None}
    for provider_id in sorted(probes):  # in the order in which whoever ends calls locks gates
        gates.set_probe(tx, provider_id, probes[provider_id])
    return _take(tx, [head.id for head in chosen], targets, worker_id=worker_id, now=now)


def _take(
    tx: sa.Connection,
    chosen: Sequence[str],
    targets: Mapping[str, Target],
    *,
    worker_id: str,
    now: float,
) -> Sequence[ClaimedJob]:
    rows = _TAKE.all(tx, {"chosen": chosen, "claimer": worker_id, "now": now})
    jobs = [
        ClaimedJob(job_id, worker_id, attempt, targets[provider_id], *facts)
        for job_id, attempt, provider_id, *facts in rows
    ]
    place = {job_id: number for number, job_id in enumerate(chosen)}
    return sorted(jobs, key=lambda job: place[job.id])
