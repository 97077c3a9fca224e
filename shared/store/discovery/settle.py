"""What needs no check: disabled and deleted providers, and what a chat proved."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from shared.domain import DiscoveryStatus, EventType
from shared.store import events
from shared.store.discovery.claim import FIRST_ROW, first_row, insert_for
from shared.store.discovery.record import moved
from shared.store.discovery.rows import Standing
from shared.store.schema import discovery, model, provider


def unsettled(tx: sa.Connection) -> bool:
    """A plain look, so that an idle worker takes no write lock."""
    return bool(tx.execute(_disabled().limit(1)).first() or tx.execute(_deleted().limit(1)).first())


def settle(tx: sa.Connection, *, now: float) -> Mapping[str, DiscoveryStatus]:
    """Give disabled providers that verdict (their models stay), and forget deleted ones.

    A refresh of a disabled provider is answered by that verdict. Returns what those that got it now
    were before.
    """
    for gone in tx.execute(_deleted()).scalars().all():
        # In the order in which a finding is written, so that neither waits for the other's rows.
        tx.execute(sa.delete(discovery).where(discovery.c.provider_id == gone))
        tx.execute(sa.delete(model).where(model.c.provider_id == gone))
    found = tx.execute(_disabled()).all()
    # All rows first: whoever has appended an event holds all others up.
    settled = [(row, _disable(tx, row.id, now)) for row in found]
    disabled: dict[str, DiscoveryStatus] = {}
    for row, revision in settled:
        before = DiscoveryStatus(row.status or DiscoveryStatus.PENDING)
        if revision is None or before is DiscoveryStatus.DISABLED:
            continue
        disabled[row.id] = before
        events.append(
            tx,
            EventType.STATUS_CHANGED,
            subject=row.id,
            revision=revision,
            at=now,
            detail=moved(before, DiscoveryStatus.DISABLED),
        )
    return disabled


def _disable(tx: sa.Connection, provider_id: str, now: float) -> int | None:
    """The revision that is disabled now; None when it is enabled again, or another was faster."""
    values = first_row(DiscoveryStatus.DISABLED, now)
    source = sa.select(*values, provider.c.refresh_asked).where(
        provider.c.id == provider_id, provider.c.enabled.is_(False)
    )
    insert = insert_for(tx).from_select(
        [*FIRST_ROW, "refresh_seen"], source, include_defaults=False
    )
    settled = insert.on_conflict_do_update(
        index_elements=[discovery.c.provider_id],
        set_={
            "status": DiscoveryStatus.DISABLED,
            "revision": insert.excluded.revision,
            "error_sealed": None,
            "failures": 0,
            "refresh_seen": insert.excluded.refresh_seen,
        },
        where=sa.or_(
            discovery.c.status != DiscoveryStatus.DISABLED,
            discovery.c.refresh_seen != insert.excluded.refresh_seen,
        ),
    ).returning(discovery.c.revision)
    row = tx.execute(settled).first()
    return None if row is None else row.revision


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
            provider.c.api_key_rotated_at,
            discovery.c.status,
            discovery.c.checked_at,
        )
        .outerjoin(discovery, discovery.c.provider_id == provider.c.id)
        .where(provider.c.id == provider_id, provider.c.deleted_at.is_(None))
    ).first()
    if row is None:
        return None
    if row.has_key and revision in (None, row.revision):
        _note_key(tx, provider_id, now if key_works else None, now, row.api_key_rotated_at)
    status = DiscoveryStatus(row.status or DiscoveryStatus.PENDING)
    return Standing(status, row.checked_at)


def _note_key(
    tx: sa.Connection,
    provider_id: str,
    verified_at: float | None,
    now: float,
    rotated_at: float | None,
) -> None:
    # The first chat may be over before the first check: then this makes the row.
    values = sa.select(
        *first_row(DiscoveryStatus.PENDING, now), sa.literal(verified_at, sa.Double)
    ).where(provider.c.id == provider_id)
    stored = discovery.c.key_verified_at
    changes: sa.ColumnElement[bool] = stored.is_not(None)
    if verified_at is not None:  # what proved an older key proves nothing of this one
        changes = sa.or_(stored.is_(None), stored < (rotated_at or 0.0))
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
        sa.select(provider.c.id, discovery.c.status)
        .outerjoin(discovery, discovery.c.provider_id == provider.c.id)
        .where(
            provider.c.deleted_at.is_(None),
            provider.c.enabled.is_(False),
            sa.or_(
                sa.func.coalesce(discovery.c.status, "") != DiscoveryStatus.DISABLED,
                provider.c.refresh_asked != discovery.c.refresh_seen,
            ),
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
