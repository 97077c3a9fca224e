"""Tests of providers that are not saved yet. The registry inserts, the discovery worker fills in.

A check is claimed as discovery's are, by moving `checking_until` into the future; its steps are
written as they are done, so that whoever polls sees them come. Rows live for ten minutes.

The plain text of both sealed columns is JSON, sealed at the check's id:

    request  {"endpoint": as typed, "api_key": str|null, "options": {…}, "chat": bool, "model": …}
    result   {"steps": [{"name", "verdict": "ok|failed|skipped", "ms", "message", "remedy"}],
              "endpoint": the one to save, or null, "models": [{"id", "context_length"}]}
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa

from shared.store.schema import provider_check

TABLE: Final = "provider_check"
REQUEST: Final = "request_sealed"
RESULT: Final = "result_sealed"
KEPT_SECONDS: Final = 600.0
CLAIM_SECONDS: Final = 40.0  # a check lasts 30 s at most; the rest is for a slow database
MAX_LOSSES: Final = 2  # workers that one check may lose


@dataclass(frozen=True, slots=True)
class Check:
    """One check as the registry reads it; without a result its first step is not done yet."""

    id: str
    key_id: str
    done: bool
    result_sealed: str | None
    created_at: float


@dataclass(frozen=True, slots=True)
class CheckClaim:
    """One claimed check; `until` is both the end of the claim and the fence of its steps.

    `tries` counts claims, this one included; `result_sealed` is what an earlier one left.
    """

    until: float
    id: str
    request_sealed: str
    result_sealed: str | None
    tries: int

    @property
    def is_lost(self) -> bool:
        """Whether too many workers died with it: it is to be ended, not to be run again."""
        return self.tries > MAX_LOSSES


def insert(
    tx: sa.Connection, check_id: str, *, key_id: str, request_sealed: str, now: float
) -> None:
    """Store a check for the worker to find; `key_id` is who asked."""
    tx.execute(
        sa.insert(provider_check).values(
            id=check_id,
            key_id=key_id,
            request_sealed=request_sealed,
            done=False,
            created_at=now,
        )
    )


def get(tx: sa.Connection, check_id: str, *, now: float) -> Check | None:
    """The check with this id, or None when there is none or it is over ten minutes old."""
    columns = [provider_check.c[name] for name in Check.__dataclass_fields__]
    row = tx.execute(
        sa.select(*columns).where(provider_check.c.id == check_id, sa.not_(_expired(now)))
    ).first()
    return Check(*row) if row else None


def running(tx: sa.Connection, check_ids: Collection[str]) -> Collection[str]:
    """Those of these checks that are not done; without their results, which may be long."""
    unfinished = provider_check.c.done.is_(False), provider_check.c.id.in_(list(check_ids))
    return tx.execute(sa.select(provider_check.c.id).where(*unfinished)).scalars().all()


def begun_since(tx: sa.Connection, key_id: str, since: float) -> Sequence[float]:
    """When this key's checks were inserted, from `since` on, oldest first."""
    made = provider_check.c.created_at
    query = sa.select(made).where(provider_check.c.key_id == key_id, made >= since).order_by(made)
    return tx.execute(query).scalars().all()


def any_waiting(tx: sa.Connection, *, now: float) -> bool:
    """Whether a check waits to be claimed: a plain look, so that idle workers take no lock."""
    return tx.execute(_unclaimed(now).limit(1)).first() is not None


def claim(tx: sa.Connection, *, now: float, limit: int) -> Sequence[CheckClaim]:
    """Claim up to `limit` checks that nobody works on, oldest first."""
    if limit <= 0:
        return []
    until = now + CLAIM_SECONDS
    # Rows that are locked are another worker's already: skipped, so that none waits for another.
    oldest = _unclaimed(now).order_by(provider_check.c.id).limit(limit)
    free = tx.execute(oldest.with_for_update(skip_locked=True)).scalars().all()
    statement = (
        sa.update(provider_check)
        .where(provider_check.c.id.in_(free))
        .values(checking_until=until, tries=provider_check.c.tries + 1)
        .returning(
            provider_check.c.id,
            provider_check.c.request_sealed,
            provider_check.c.result_sealed,
            provider_check.c.tries,
        )
    )
    claims = [CheckClaim(until, *row) for row in tx.execute(statement)]
    return sorted(claims, key=lambda one: one.id)


def fill(tx: sa.Connection, claim: CheckClaim, *, result_sealed: str, done: bool) -> bool:
    """Write the steps so far; False, and nothing is written, when the claim was taken over."""
    values = {"result_sealed": result_sealed, "done": done}
    statement = sa.update(provider_check).where(_held_by(claim)).values(values)
    return tx.execute(statement.returning(provider_check.c.id)).first() is not None


def release(tx: sa.Connection, claim: CheckClaim) -> None:
    """Give a claim back, as if it had not been: a worker that stops in order is no loss."""
    tx.execute(
        sa.update(provider_check)
        .where(_held_by(claim))
        .values(checking_until=0.0, tries=provider_check.c.tries - 1)
    )


def any_expired(tx: sa.Connection, *, now: float) -> bool:
    """Whether there is anything to purge: a plain look, too."""
    query = sa.select(provider_check.c.id).where(_expired(now)).limit(1)
    return tx.execute(query).first() is not None


def purge(tx: sa.Connection, *, now: float) -> None:
    """Delete checks over ten minutes old."""
    tx.execute(sa.delete(provider_check).where(_expired(now)))


def _expired(now: float) -> sa.ColumnElement[bool]:
    return provider_check.c.created_at < now - KEPT_SECONDS


def _unclaimed(now: float) -> sa.Select[tuple[str]]:
    until = provider_check.c.checking_until
    # Later than any claim can end: left by a clock that was set back since.
    free = sa.or_(until < now, until > now + 2 * CLAIM_SECONDS)
    return sa.select(provider_check.c.id).where(
        provider_check.c.done.is_(False), free, sa.not_(_expired(now))
    )


def _held_by(claim: CheckClaim) -> sa.ColumnElement[bool]:
    return sa.and_(
        provider_check.c.id == claim.id,
        provider_check.c.checking_until == claim.until,
        provider_check.c.done.is_(False),
    )
