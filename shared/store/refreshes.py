"""Refreshes that are asked for: a number that the registry raises and discovery catches up with.

A check that begins after the number was raised has seen it. So an ask is durable without Redis,
needs no clock, and any number of asks share one check.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import sqlalchemy as sa

from shared.store import events
from shared.store.schema import discovery, provider


@dataclass(frozen=True, slots=True)
class Refresh:
    """How far one living provider is: the number that its last finished check had read."""

    seen: int
    enabled: bool


def ask(tx: sa.Connection, provider_id: str) -> int | None:
    """Raise the number of a living provider; it is done when `seen` reaches what this returns.

    No new revision and no event: nothing of the provider has changed.
    """
    events.hold(tx)  # as every transaction that writes providers
    number: int | None = tx.execute(
        sa.update(provider)
        .where(provider.c.id == provider_id, provider.c.deleted_at.is_(None))
        .values(refresh_asked=provider.c.refresh_asked + 1)
        .returning(provider.c.refresh_asked)
    ).scalar_one_or_none()
    return number


def states(tx: sa.Connection, provider_ids: Collection[str]) -> Mapping[str, Refresh]:
    """Where these providers are; deleted ones are missing."""
    query = (
        sa.select(provider.c.id, sa.func.coalesce(discovery.c.refresh_seen, 0), provider.c.enabled)
        .outerjoin(discovery, discovery.c.provider_id == provider.c.id)
        .where(provider.c.id.in_(list(provider_ids)), provider.c.deleted_at.is_(None))
    )
    return {id_: Refresh(seen, enabled) for id_, seen, enabled in tx.execute(query)}
