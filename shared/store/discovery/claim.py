"""Who is due, and whose check is whose.

A check is claimed by moving `checking_until` into the future. A provider is due when its time has
come, when it has no row yet, when its revision is not the one that was checked last, or when more
refreshes were asked for than the last check knew of: nobody has to tell.

Claims are serialised (an advisory lock on PostgreSQL, BEGIN IMMEDIATE on SQLite), so that a server
(host and port) is asked by one check at a time, also when it has several providers and workers.

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
CLAIM_LOCK: Final = 0x646973636F766572  # "discover"; any constant that nobody else uses

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
    "refresh_asked",
)
_OF_DISCOVERY: Final = (
    "checked_at",
    "status",
    "failures",
    "empty_lists",
    "ok_at",
    "key_verified_at",
    "recent",
)
_LOCK: Final = sa.select(sa.func.pg_advisory_xact_lock(CLAIM_LOCK))


def candidates(tx: sa.Connection, *, now: float, asked: Collection[str]) -> Sequence[Candidate]:
    """Who is due or in `asked`, and not being checked; providers that fail come last."""
    unknown = discovery.c.provider_id.is_(None)
    wanted = provider.c.id.in_(list(asked))
    refresh = provider.c.refresh_asked != discovery.c.refresh_seen
    due = sa.or_(wanted, refresh, _due(now, provider.c.revision))
    query = (
        sa.select(
            provider.c.id,
            provider.c.host,
            provider.c.port,
            sa.or_(unknown, wanted, refresh, _changed(provider.c.revision)),
        )
        .outerjoin(discovery, discovery.c.provider_id == provider.c.id)
        .where(checkable(), sa.or_(unknown, sa.and_(_free(now), due)))
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
    """Claim those of `provider_ids` that are due or in `asked`, and whose server nobody checks.

    No two of `provider_ids` may be at the same server.
    """
    if tx.dialect.name == "postgresql":
        tx.execute(_LOCK)
    until = now + CLAIM_SECONDS
    source = (
        sa.select(*first_row(DiscoveryStatus.PENDING, now, checking_until=until))
        .where(provider.c.id.in_(list(provider_ids)), checkable(), _server_is_free(now))
        .order_by(provider.c.id)  # so that two workers lock rows in one order
    )
    insert = insert_for(tx).from_select(FIRST_ROW, source, include_defaults=False)
    asked_for = discovery.c.provider_id.in_(list(asked))
    # Literal: SQLAlchemy correlates no subquery with the row that a conflict is about.
    this: sa.ColumnElement[str] = sa.literal_column("discovery.provider_id", sa.Text)
    refreshes = sa.select(provider.c.refresh_asked).where(provider.c.id == this).scalar_subquery()
    due = sa.or_(
        asked_for,
        refreshes != discovery.c.refresh_seen,
        _due(now, insert.excluded.revision),
    )
    statement = insert.on_conflict_do_update(
        index_elements=[discovery.c.provider_id],
        set_={"checking_until": until},
        where=sa.and_(_free(now), due),
    ).returning(discovery.c.provider_id)
    claimed = tx.execute(statement).scalars().all()
    query = (
        sa.select(
            provider.c.id.label("provider_id"),
            *(provider.c[name] for name in _OF_PROVIDER),
            discovery.c.revision.label("checked_revision"),
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


def _server_is_free(now: float) -> sa.ColumnElement[bool]:
    """No other provider at the same host and port is being checked."""
    other, check = provider.alias("other"), discovery.alias("check_of_other")
    busy = (
        sa.select(sa.literal(1))
        .select_from(check)
        .join(other, other.c.id == check.c.provider_id)
        .where(
            other.c.host == provider.c.host,
            other.c.port == provider.c.port,
            other.c.id != provider.c.id,
            check.c.checking_until >= now,
            check.c.checking_until <= now + CLAIM_SECONDS + CLOCK_SLACK,
        )
    )
    return sa.not_(busy.correlate(provider).exists())


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
