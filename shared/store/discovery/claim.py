"""Who is due, and whose check is whose.

A check is claimed by moving `checking_until` into the future. A provider is due when its time has
come, when it has no row yet, or when its revision is not the one that was checked last: nobody has
to tell.

`checking_until` far in the future and `checked_at` ahead of now can only be left by a clock that
was set back since. They count as past, so that such a jump delays no check.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from shared.domain import DiscoveryStatus
from shared.store.discovery.rows import CLAIM_SECONDS, Candidate, Claim
from shared.store.schema import discovery, provider

CLOCK_SLACK: Final = 60.0  # seconds by which workers' clocks may differ; more is a jump

FIRST_ROW: Final = (
    "provider_id",
    "revision",
    "status",
    "failures",
    "empty_lists",
    "next_check_at",
    "checking_until",
)
_OF_PROVIDER: Final = (
    "revision",
    "chat_url",
    "models_url",
    "host",
    "port",
    "api_key_sealed",
    "api_key_rotated_at",
    "options",
    "updated_at",
)
_OF_DISCOVERY: Final = ("status", "failures", "empty_lists", "ok_at", "key_verified_at")


def candidates(tx: sa.Connection, *, now: float, asked: Collection[str]) -> Sequence[Candidate]:
    """Who is due or in `asked`, and not being checked; providers that fail come last."""
    unknown = discovery.c.provider_id.is_(None)
    wanted = provider.c.id.in_(list(asked))
    free = sa.and_(_free(now), sa.or_(wanted, _due(now, provider.c.revision)))
    query = (
        sa.select(
            provider.c.id,
            provider.c.host,
            provider.c.port,
            sa.or_(unknown, wanted, _changed(provider.c.revision)),
        )
        .outerjoin(discovery, discovery.c.provider_id == provider.c.id)
        .where(checkable(), sa.or_(unknown, free))
        .order_by(
            sa.func.coalesce(discovery.c.failures, 0),
            sa.func.coalesce(discovery.c.next_check_at, 0.0),
            provider.c.id,
        )
    )
    return [
        Candidate(id_, host, port, bool(urgent)) for id_, host, port, urgent in tx.execute(query)
    ]


def claim(
    tx: sa.Connection, provider_ids: Collection[str], *, now: float, asked: Collection[str]
) -> Sequence[Claim]:
    """Claim those of `provider_ids` that nobody checks and that are due or in `asked`."""
    until = now + CLAIM_SECONDS
    source = (
        sa.select(*first_row(DiscoveryStatus.PENDING, now, checking_until=until))
        .where(provider.c.id.in_(list(provider_ids)), checkable())
        .order_by(provider.c.id)  # so that two workers lock rows in one order
    )
    insert = insert_for(tx).from_select(FIRST_ROW, source, include_defaults=False)
    asked_for = discovery.c.provider_id.in_(list(asked))
    statement = insert.on_conflict_do_update(
        index_elements=[discovery.c.provider_id],
        set_={"checking_until": until},
        where=sa.and_(_free(now), sa.or_(asked_for, _due(now, insert.excluded.revision))),
    ).returning(discovery.c.provider_id)
    claimed = tx.execute(statement).scalars().all()
    query = (
        sa.select(
            provider.c.id.label("provider_id"),
            *(provider.c[name] for name in _OF_PROVIDER),
            *(discovery.c[name] for name in _OF_DISCOVERY),
        )
        .join(discovery, discovery.c.provider_id == provider.c.id)
        .where(provider.c.id.in_(claimed))
    )
    return [
        Claim(until=until, **{**row, "status": DiscoveryStatus(row["status"])})
        for row in tx.execute(query).mappings()
    ]


def release(tx: sa.Connection, claims: Collection[Claim]) -> None:
    """Give claims back without a finding; who was due is due again."""
    for given_up in claims:
        tx.execute(sa.update(discovery).where(held_by(given_up)).values(checking_until=0.0))


def held_by(claimed: Claim) -> sa.ColumnElement[bool]:
    """The row of this claim, unless the claim ran out and was taken over."""
    return sa.and_(
        discovery.c.provider_id == claimed.provider_id,
        discovery.c.checking_until == claimed.until,
    )


def checkable() -> sa.ColumnElement[bool]:
    """Providers that are checked at all."""
    return sa.and_(provider.c.deleted_at.is_(None), provider.c.enabled.is_(True))


def first_row(
    status: DiscoveryStatus, now: float, *, checking_until: float = 0.0
) -> Sequence[sa.ColumnElement[Any]]:
    """The values of `FIRST_ROW`, to be selected from `provider`: due now."""
    return (
        provider.c.id,
        provider.c.revision,
        sa.literal(status.value, sa.Text),
        sa.literal(0, sa.Integer),
        sa.literal(0, sa.Integer),
        sa.literal(now, sa.Double),
        sa.literal(checking_until, sa.Double),
    )


def insert_for(tx: sa.Connection) -> Any:
    """An INSERT into `discovery` that can say ON CONFLICT on this database."""
    insert = sqlite.insert if tx.dialect.name == "sqlite" else postgresql.insert
    return insert(discovery)


def _free(now: float) -> sa.ColumnElement[bool]:
    until = discovery.c.checking_until
    return sa.or_(until < now, until > now + CLAIM_SECONDS + CLOCK_SLACK)


def _changed(revision: sa.ColumnElement[int]) -> sa.ColumnElement[bool]:
    """Never checked as it is now; an enabled provider that is marked disabled is such a one."""
    disabled = discovery.c.status == DiscoveryStatus.DISABLED
    return sa.or_(discovery.c.revision != revision, disabled)


def _due(now: float, revision: sa.ColumnElement[int]) -> sa.ColumnElement[bool]:
    return sa.or_(
        discovery.c.next_check_at <= now,
        discovery.c.checked_at.is_(None),
        discovery.c.checked_at > now + CLOCK_SLACK,
        _changed(revision),
    )
