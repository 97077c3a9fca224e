"""The outbox of provider events: gapless numbers in commit order.

The number comes from a counter row, so that two transactions that append wait for each other and
commit in the order of their numbers; a sequence of the database would leave gaps and swap them.
Events of more than 400 days ago are deleted, oldest first: what is left has no gap.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any, Final

import sqlalchemy as sa

from shared import ids
from shared.domain import EventType
from shared.store.prepared import Prepared
from shared.store.schema import event, event_counter

KEPT_SECONDS: Final = 400 * 86_400
PURGE_BATCH: Final = 500


@dataclass(frozen=True, slots=True)
class Event:
    """One fact: what happened to which provider, at which revision.

    `detail` says what changed, in names only: never a key, an endpoint or a text of an upstream
    server's but its model ids. It stays in the database; the stream carries the rest.
    """

    seq: int
    id: str
    type: EventType
    subject: str
    revision: int
    at: float
    detail: Mapping[str, Any] | None = None


_NAMES: Final = tuple(Event.__dataclass_fields__)
_COLUMNS: Final = [event.c[name] for name in _NAMES]
_AFTER: Final = Prepared(
    sa.select(*_COLUMNS)
    .where(event.c.seq > sa.bindparam("seq"))
    .order_by(event.c.seq)
    .limit(sa.bindparam("most", type_=sa.Integer))
)
# SQLite has no row locks and needs none: a write transaction there is alone from its beginning.
_OLDEST: Final = sa.select(event.c.seq, event.c.at).order_by(event.c.seq)
_HELD: Final = sa.select(event_counter.c.seq).where(event_counter.c.id == 1).with_for_update()


def append(
    tx: sa.Connection,
    type_: EventType,
    *,
    subject: str,
    revision: int,
    at: float,
    detail: Mapping[str, Any] | None = None,
) -> Event:
    """Append one event in the transaction of the fact; returns it with its number."""
    seq = tx.execute(
        sa.update(event_counter)
        .where(event_counter.c.id == 1)
        .values(seq=event_counter.c.seq + 1)
        .returning(event_counter.c.seq)
    ).scalar_one()
    fact = Event(seq, ids.new(ids.EVENT), type_, subject, revision, at, detail)
    values = {name: getattr(fact, name) for name in Event.__dataclass_fields__}
    # JSON columns store None as the JSON `null`: here it means that nothing is to be told.
    tx.execute(
        sa.insert(event).values({**values, "detail": sa.null() if detail is None else detail})
    )
    return fact


def hold(tx: sa.Connection) -> None:
    """Take the counter now; nobody else can append until this transaction ends.

    For transactions that lock a row which others change together with an event: whoever takes the
    counter first and the row second cannot wait in a circle with them.
    """
    tx.execute(_HELD)


def last_seq(tx: sa.Connection) -> int:
    """The number of the newest event; 0 when there is none."""
    query = sa.select(event_counter.c.seq).where(event_counter.c.id == 1)
    return int(tx.execute(query).scalar_one())


def first_seq(tx: sa.Connection) -> int:
    """The number of the oldest event that is kept; that of the next one when none is."""
    oldest = tx.execute(_OLDEST.limit(1)).first()
    return last_seq(tx) + 1 if oldest is None else int(oldest.seq)


def any_expired(tx: sa.Connection, *, now: float) -> bool:
    """Whether there is anything to purge: a plain look."""
    oldest = tx.execute(_OLDEST.limit(1)).first()
    return oldest is not None and oldest.at < now - KEPT_SECONDS


def purge(tx: sa.Connection, *, now: float) -> None:
    """Delete up to 500 events of more than 400 days ago, none behind one that is younger."""
    rows = tx.execute(_OLDEST.limit(PURGE_BATCH))
    expired = [row.seq for row in takewhile(lambda row: row.at < now - KEPT_SECONDS, rows)]
    if expired:
        tx.execute(sa.delete(event).where(event.c.seq <= expired[-1]))


def after(tx: sa.Connection, seq: int, *, limit: int) -> Sequence[Event]:
    """Up to `limit` events with larger numbers, oldest first."""
    found = _AFTER.all(tx, {"seq": seq, "most": limit})
    return [_of(dict(zip(_NAMES, row, strict=True))) for row in found]


def feed(
    tx: sa.Connection,
    seq: int,
    *,
    upto: int,
    limit: int,
    type_: EventType | None = None,
    subject: str | None = None,
) -> Sequence[Event]:
    """Up to `limit` events behind `seq` and not behind `upto`, of one type or one provider.

    Ask for `last_seq` first: then all that has a number up to it can be seen.
    """
    query = sa.select(*_COLUMNS).where(event.c.seq > seq, event.c.seq <= upto)
    if type_ is not None:
        query = query.where(event.c.type == type_)
    if subject is not None:
        query = query.where(event.c.subject == subject)
    return [_event(row) for row in tx.execute(query.order_by(event.c.seq).limit(limit))]


def is_of(tx: sa.Connection, event_id: str, subject: str) -> bool:
    """Whether there is an event with this id, and about this provider."""
    query = sa.select(event.c.seq).where(event.c.id == event_id, event.c.subject == subject)
    return tx.execute(query).first() is not None


def timeline(
    tx: sa.Connection, subject: str, *, limit: int, after: str | None = None, newest_first: bool
) -> Sequence[Event]:
    """Up to `limit` events of one provider, beginning behind the event with the id `after`."""
    query = sa.select(*_COLUMNS).where(event.c.subject == subject).limit(limit)
    if after is not None:
        mark = sa.select(event.c.seq).where(event.c.id == after).scalar_subquery()
        query = query.where(event.c.seq < mark if newest_first else event.c.seq > mark)
    order = event.c.seq.desc() if newest_first else event.c.seq
    return [_event(row) for row in tx.execute(query.order_by(order))]


def _event(row: sa.Row[Any]) -> Event:
    return _of(row._asdict())


def _of(values: Mapping[str, Any]) -> Event:
    return Event(**{**values, "type": EventType(values["type"])})
