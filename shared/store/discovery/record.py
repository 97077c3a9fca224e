"""How a check ends: its finding, its models and their events, in one transaction."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import sqlalchemy as sa

from shared.domain import DiscoveryStatus, EventType
from shared.store import events
from shared.store.discovery import listing
from shared.store.discovery.claim import checkable, held_by, release
from shared.store.discovery.listing import Changes
from shared.store.discovery.rows import CLAIM_SECONDS, RECENT, Claim, Finding
from shared.store.schema import discovery, provider

TOLD_IDS: Final = 100  # of the models that appeared or vanished; the counts tell of the rest


def record(tx: sa.Connection, claim: Claim, finding: Finding, *, now: float) -> bool:
    """Write a finding; False, and nothing is written, when it no longer counts.

    That is when the claim ran out and was taken over, or the provider is not at the revision that
    was checked any more; the claim is then given back. A finding like the one before writes one
    row: `ok_at` stands for the `last_seen` of every model that is still listed.
    """
    values: dict[str, Any] = {
        "status": finding.status,
        "revision": claim.revision,
        "checked_at": now,
        "error_sealed": finding.error_sealed,
        "failures": finding.failures,
        "empty_lists": finding.empty_lists,
        "checking_until": 0.0,
        "next_check_at": finding.next_check_at,
        "key_verified_at": _key_verified_at(claim, finding, now),
        "refresh_seen": claim.refresh_asked,
        "recent": [_check(claim, finding, now), *(claim.recent or ())][:RECENT],
    }
    if finding.listed is not None:
        values["ok_at"] = now
    same = sa.exists().where(
        provider.c.id == claim.provider_id, provider.c.revision == claim.revision, checkable()
    )
    written = tx.execute(
        sa.update(discovery)
        .where(held_by(claim), same)
        .values(values)
        .returning(discovery.c.provider_id)
    ).first()
    if written is None:
        release(tx, [claim])
        return False
    changes = listing.replace(
        tx,
        claim.provider_id,
        listed=finding.listed,
        manual=finding.manual,
        allows=finding.allows,
        now=now,
        seen_at=claim.ok_at,
    )
    # Last, because from here to the commit nobody else can append an event.
    if finding.status is not claim.status:
        events.append(
            tx,
            EventType.STATUS_CHANGED,
            subject=claim.provider_id,
            revision=claim.revision,
            at=now,
            detail=moved(claim.status, finding.status),
        )
    _tell(tx, claim, changes, now)
    return True


def choose(
    tx: sa.Connection,
    claim: Claim,
    *,
    manual: Sequence[str],
    allows: Callable[[str], bool],
    now: float,
) -> None:
    """Make the last good list agree with changed options, before the server answers.

    Nothing is written when a finding of this claim would not count any more.
    """
    counts = (
        sa.select(discovery.c.provider_id)
        .join(provider, provider.c.id == discovery.c.provider_id)
        .where(held_by(claim), provider.c.revision == claim.revision, checkable())
        .with_for_update(of=discovery)
    )
    if tx.execute(counts).first() is None:
        return
    changes = listing.replace(
        tx,
        claim.provider_id,
        listed=None,
        manual=manual,
        allows=allows,
        now=now,
        seen_at=claim.ok_at,
    )
    _tell(tx, claim, changes, now)


def moved(old: DiscoveryStatus, new: DiscoveryStatus) -> Mapping[str, Any]:
    """The detail of `provider.status_changed`."""
    return {"from": old.value, "to": new.value}


def _tell(tx: sa.Connection, claim: Claim, changes: Changes, now: float) -> None:
    if not (changes.appeared or changes.vanished):
        return
    detail = {
        "appeared": list(changes.appeared[:TOLD_IDS]),
        "appeared_count": len(changes.appeared),
        "vanished": list(changes.vanished[:TOLD_IDS]),
        "vanished_count": len(changes.vanished),
    }
    events.append(
        tx,
        EventType.MODELS_CHANGED,
        subject=claim.provider_id,
        revision=claim.revision,
        at=now,
        detail=detail,
    )


def _check(claim: Claim, finding: Finding, now: float) -> list[Any]:
    return [claim.until - CLAIM_SECONDS, now, finding.status.value]


def _key_verified_at(
    claim: Claim, finding: Finding, now: float
) -> sa.ColumnElement[float] | float | None:
    if finding.key_proven is not None:
        return now if finding.key_proven else None
    if claim.api_key_sealed is None:
        return None
    # What is stored now, not what the claim saw: a chat may have proven the key meanwhile.
    stored = discovery.c.key_verified_at
    return sa.case((stored < (claim.api_key_rotated_at or 0.0), sa.null()), else_=stored)
