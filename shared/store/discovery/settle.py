"""What needs no check: disabled and deleted providers, and what a chat proved."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from shared.domain import DiscoveryStatus, EventType
from shared.store import events
from shared.store.discovery.claim import FIRST_ROW, first_row, insert_for
from shared.store.discovery.rows import Standing
from shared.store.schema import discovery, model, provider


def unsettled(tx: sa.Connection) -> bool:
    """A plain look, so that an idle worker takes no write lock."""
    return bool(tx.execute(_disabled().limit(1)).first() or tx.execute(_deleted().limit(1)).first())


def settle(tx: sa.Connection, *, now: float) -> None:
    """Give disabled providers that verdict (their models stay), and forget deleted ones."""
    for gone in tx.execute(_deleted()).scalars().all():
        tx.execute(sa.delete(model).where(model.c.provider_id == gone))
        tx.execute(sa.delete(discovery).where(discovery.c.provider_id == gone))
    for found in tx.execute(_disabled()).all():
        source = sa.select(*first_row(DiscoveryStatus.DISABLED, now)).where(
            provider.c.id == found.id, provider.c.enabled.is_(False)
        )
        insert = insert_for(tx).from_select(FIRST_ROW, source, include_defaults=False)
        verdict = {
            "status": DiscoveryStatus.DISABLED,
            "revision": insert.excluded.revision,
            "error_sealed": None,
            "failures": 0,
        }
        settled = insert.on_conflict_do_update(
            index_elements=[discovery.c.provider_id], set_=verdict
        ).returning(discovery.c.revision)
        row = tx.execute(settled).first()
        if row is not None:  # else it was enabled again since it was found
            events.append(
                tx, EventType.STATUS_CHANGED, subject=found.id, revision=row.revision, at=now
            )


def note_chat(
    tx: sa.Connection, provider_id: str, *, revision: int | None, key_works: bool, now: float
) -> Standing | None:
    """Store what a chat proved of the provider's key; None when there is no such provider.

    `revision` is that of the provider which the chat called; a chat of an older one proves nothing.
    """
    row = tx.execute(
        sa.select(
            provider.c.revision,
            provider.c.api_key_sealed.is_not(None).label("has_key"),
            discovery.c.status,
            discovery.c.checked_at,
        )
        .outerjoin(discovery, discovery.c.provider_id == provider.c.id)
        .where(provider.c.id == provider_id, provider.c.deleted_at.is_(None))
    ).first()
    if row is None:
        return None
    if row.has_key and revision in (None, row.revision):
        _note_key(tx, provider_id, now if key_works else None, now)
    status = DiscoveryStatus(row.status or DiscoveryStatus.PENDING)
    return Standing(status, row.checked_at)


def _note_key(tx: sa.Connection, provider_id: str, verified_at: float | None, now: float) -> None:
    # The first chat may be over before the first check: then this makes the row.
    values = sa.select(
        *first_row(DiscoveryStatus.PENDING, now), sa.literal(verified_at, sa.Double)
    ).where(provider.c.id == provider_id)
    stored = discovery.c.key_verified_at
    changes = stored.is_(None) if verified_at is not None else stored.is_not(None)
    insert = insert_for(tx).from_select(
        [*FIRST_ROW, "key_verified_at"], values, include_defaults=False
    )
    tx.execute(
        insert.on_conflict_do_update(
            index_elements=[discovery.c.provider_id],
            set_={"key_verified_at": verified_at},
            where=changes,
        )
    )


def _disabled() -> sa.Select[Any]:
    return (
        sa.select(provider.c.id, provider.c.revision)
        .outerjoin(discovery, discovery.c.provider_id == provider.c.id)
        .where(
            provider.c.deleted_at.is_(None),
            provider.c.enabled.is_(False),
            sa.func.coalesce(discovery.c.status, "") != DiscoveryStatus.DISABLED,
        )
        .order_by(provider.c.id)
    )


def _deleted() -> sa.Select[Any]:
    return (
        sa.select(discovery.c.provider_id)
        .join(provider, provider.c.id == discovery.c.provider_id)
        .where(provider.c.deleted_at.is_not(None))
        .order_by(discovery.c.provider_id)
    )
