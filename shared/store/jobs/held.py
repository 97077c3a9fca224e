"""Claims and whether they hold: (worker, attempt) fences every move of a worker."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final

import sqlalchemy as sa

from shared.store.jobs.rows import Fence
from shared.store.schema import chat_job

FENCED: Final = (
    chat_job.c.id == sa.bindparam("fence_id"),
    sa.text("chat_job.state = 'in_progress'"),
    chat_job.c.worker_id == sa.bindparam("fence_worker"),
    chat_job.c.attempt == sa.bindparam("fence_attempt"),
)
_HELD: Final = sa.select(chat_job.c.id, chat_job.c.worker_id, chat_job.c.attempt).where(
    chat_job.c.id.in_(sa.bindparam("job_ids", expanding=True)),
    sa.text("chat_job.state = 'in_progress'"),
)
# The lock is nothing on SQLite, where the whole transaction holds it. In the order of the ids, so
# that two who lock the same rows cannot wait for each other.
_HELD_LOCKED: Final = _HELD.order_by(chat_job.c.id).with_for_update(key_share=True)
_HELD_BY: Final = sa.select(chat_job.c.id, chat_job.c.worker_id, chat_job.c.attempt).where(
    sa.text("chat_job.state = 'in_progress'"), chat_job.c.worker_id == sa.bindparam("holder")
)
_PUBLISH: Final = sa.update(chat_job).where(*FENCED).values(publishing=sa.true())


def fence_row(claim: Fence) -> dict[str, object]:
    """The parameters of `FENCED`."""
    job_id, worker_id, attempt = claim
    return {"fence_id": job_id, "fence_worker": worker_id, "fence_attempt": attempt}


def still_held(tx: sa.Connection, claims: Collection[Fence], *, lock: bool = False) -> set[Fence]:
    """Those of these claims whose row is theirs, locked until the commit when asked so."""
    query = _HELD_LOCKED if lock else _HELD
    rows = tx.execute(query, {"job_ids": list({job_id for job_id, _, _ in claims})})
    current = {(row.id, row.worker_id, row.attempt) for row in rows}
    return current.intersection(claims)


def lost(tx: sa.Connection, claims: Iterable[Fence]) -> set[Fence]:
    """Those of these claims that no longer hold: cancelled, swept, or ended."""
    asked = set(claims)
    return asked - still_held(tx, asked)


def held_by(tx: sa.Connection, worker_id: str) -> set[Fence]:
    """Every claim that this worker holds by its rows."""
    rows = tx.execute(_HELD_BY, {"holder": worker_id})
    return {(row.id, row.worker_id, row.attempt) for row in rows}


def publish(tx: sa.Connection, claims: Collection[Fence]) -> set[Fence]:
    """Note that readers may see chunks of these calls from now on; returns the claims that hold.

    The sweep repeats none of them, whatever their `on_interrupt` says.
    """
    held = still_held(tx, claims, lock=True)
    if held:
        tx.execute(_PUBLISH, [fence_row(claim) for claim in held])
    return held
