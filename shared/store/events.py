"""The outbox of provider events: gapless numbers in commit order.

The number comes from a counter row, so that two transactions that append wait for each other and
commit in the order of their numbers; a sequence of the database would leave gaps and swap them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from shared import ids
from shared.domain import EventType
from shared.store.schema import event, event_counter


@dataclass(frozen=True, slots=True)
class Event:
    """One thin fact: what happened to which provider, at which revision. Never a body."""

    seq: int
    id: str
    type: EventType
    subject: str
    revision: int
    at: float


def append(tx: sa.Connection, type_: EventType, *, subject: str, revision: int, at: float) -> Event:
    """Append one event in the transaction of the fact; returns it with its number."""
    seq = tx.execute(
        sa.update(event_counter)
        .where(event_counter.c.id == 1)
        .values(seq=event_counter.c.seq + 1)
        .returning(event_counter.c.seq)
    ).scalar_one()
    fact = Event(seq, ids.new(ids.EVENT), type_, subject, revision, at)
    tx.execute(
        sa.insert(event).values(
            seq=seq, id=fact.id, type=type_, subject=subject, revision=revision, at=at
        )
    )
    return fact


def last_seq(tx: sa.Connection) -> int:
    """The number of the newest event; 0 when there is none."""
    query = sa.select(event_counter.c.seq).where(event_counter.c.id == 1)
    return int(tx.execute(query).scalar_one())


def after(tx: sa.Connection, seq: int, *, limit: int) -> Sequence[Event]:
    """Up to `limit` events with larger numbers, oldest first."""
    rows = tx.execute(
        sa.select(
            event.c.seq, event.c.id, event.c.type, event.c.subject, event.c.revision, event.c.at
        )
        .where(event.c.seq > seq)
        .order_by(event.c.seq)
        .limit(limit)
    )
    return [Event(r.seq, r.id, EventType(r.type), r.subject, r.revision, r.at) for r in rows]
