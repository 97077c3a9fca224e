"""What hangs on a provider: the jobs that a delete of it would touch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa

from shared.store.schema import chat_job

# The conditions are literal: only so do the partial indexes serve them (see `store.schema`).
_OF_PROVIDER: Final = chat_job.c.provider_id == sa.bindparam("provider_id")
_COUNT: Final = sa.select(sa.func.count()).select_from(chat_job).where(_OF_PROVIDER)
_QUEUED: Final = _COUNT.where(sa.text("chat_job.state = 'queued'"))
_RUNNING: Final = _COUNT.where(sa.text("chat_job.state = 'in_progress'"))
_NEWEST: Final = (
    sa.select(chat_job.c.created_at)
    .where(_OF_PROVIDER, sa.text("chat_job.provider_id <> ''"))
    .order_by(chat_job.c.id.desc())
    .limit(1)
)


@dataclass(frozen=True, slots=True)
class Impact:
    """The live jobs of a provider, and when it was last used: when its newest kept job came.

    Ids sort by time, so that the newest job is the one with the largest id.
    """

    queued: int
    running: int
    last_used_at: float | None


def impact_of(tx: sa.Connection, provider_id: str) -> Impact:
    """What a delete of this provider would touch; every part is read from an index."""
    place = {"provider_id": provider_id}
    queued, running, newest = (
        tx.execute(query, place).scalar() for query in (_QUEUED, _RUNNING, _NEWEST)
    )
    return Impact(queued or 0, running or 0, newest)
