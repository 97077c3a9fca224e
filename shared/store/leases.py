"""Leases: a worker's on its life, a leader's on a duty. All times are the database's clock.

A lease that ran out only makes its worker *suspect*; any renewal clears that. A worker still
suspect one lease later is dead, and the sweep acts (`store.jobs.sweep`). A jump of the clock
therefore costs nothing: a living worker renews long before the second lease is over.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from shared.store.database import database_now
from shared.store.prepared import Prepared
from shared.store.schema import leader, worker

_RENEW: Final = Prepared(  # every batch of a worker's writes begins with it
    sa.update(worker)
    .where(worker.c.id == sa.bindparam("its_id"))
    .values(
        lease_until=database_now() + sa.bindparam("seconds", type_=sa.Double()),
        suspect_since=sa.null(),
    )
)


def register(tx: sa.Connection, worker_id: str, *, host: str, pid: int, seconds: float) -> None:
    """Enter a worker, with a lease of `seconds` from now."""
    now = database_now()
    tx.execute(
        sa.insert(worker).values(
            id=worker_id,
            host=host,
            pid=pid,
            started_at=now,
            lease_until=now + seconds,
            lease_seconds=seconds,
        )
    )


def renew(tx: sa.Connection, worker_id: str, *, seconds: float) -> bool:
    """Renew and clear suspicion; False when the worker was declared dead meanwhile."""
    return _RENEW.changed(tx, {"its_id": worker_id, "seconds": seconds}) > 0


def withdraw(tx: sa.Connection, worker_id: str) -> None:
    """Take a worker that stops in order off the list."""
    tx.execute(sa.delete(worker).where(worker.c.id == worker_id))


def living_hosts(tx: sa.Connection) -> set[str]:
    """The hosts of the workers whose lease runs."""
    query = sa.select(worker.c.host).where(worker.c.lease_until >= database_now()).distinct()
    return set(tx.execute(query).scalars())


def mark_suspects(tx: sa.Connection) -> Sequence[str]:
    """Note since when each worker with an expired lease is suspect; returns the new suspects."""
    statement = (
        sa.update(worker)
        .where(worker.c.lease_until < database_now(), worker.c.suspect_since.is_(None))
        .values(suspect_since=database_now())
        .returning(worker.c.id)
    )
    return tx.execute(statement).scalars().all()


def dead_workers(tx: sa.Connection) -> Sequence[str]:
    """The workers that stayed suspect for one whole lease of their own."""
    # Locked, so that a renewal comes before this (and the worker is not dead) or finds no row.
    query = (
        sa.select(worker.c.id)
        .where(worker.c.suspect_since + worker.c.lease_seconds < database_now())
        .order_by(worker.c.id)
        .with_for_update()
    )
    return tx.execute(query).scalars().all()


def lead(tx: sa.Connection, name: str, *, holder: str, seconds: float) -> bool:
    """Take or keep the lease on a duty; False while another holder's lease runs."""
    insert = sqlite.insert if tx.dialect.name == "sqlite" else postgresql.insert
    until = database_now() + seconds
    statement = insert(leader).values(name=name, holder=holder, lease_until=until)
    claim = statement.on_conflict_do_update(
        index_elements=[leader.c.name],
        set_={"holder": holder, "lease_until": until},
        where=sa.or_(leader.c.holder == holder, leader.c.lease_until < database_now()),
    ).returning(leader.c.holder)
    return tx.execute(claim).first() is not None


def leads(tx: sa.Connection, name: str) -> str | None:
    """Who holds the lease on a duty now, if anybody."""
    query = sa.select(leader.c.holder).where(
        leader.c.name == name, leader.c.lease_until >= database_now()
    )
    return tx.execute(query).scalar_one_or_none()


def resign(tx: sa.Connection, name: str, *, holder: str) -> None:
    """Give the duty up, so that the next holder need not wait for the lease to end."""
    tx.execute(sa.delete(leader).where(leader.c.name == name, leader.c.holder == holder))
