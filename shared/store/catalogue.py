"""What the registry reads of discovery: the last verdict and the last good list of each provider.

The discovery worker alone writes these tables (`store.discovery`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import sqlalchemy as sa

from shared.domain import DiscoveryStatus
from shared.store.schema import discovery, model, provider


class Check(NamedTuple):
    """One of the last checks of a provider; times in Unix seconds."""

    begun_at: float
    ended_at: float
    status: DiscoveryStatus


@dataclass(frozen=True, slots=True)
class Verdict:
    """The last check of one provider, as it was at `revision`; times in Unix seconds."""

    provider_id: str
    status: DiscoveryStatus
    revision: int
    checked_at: float | None
    ok_at: float | None
    key_verified_at: float | None
    error_sealed: str | None
    next_check_at: float
    model_count: int
    recent: Sequence[Check] = ()


@dataclass(frozen=True, slots=True)
class CatalogueModel:
    """One model of the last good list; a listed one was last seen when that list came."""

    provider_id: str
    upstream_id: str
    source: str
    first_seen: float
    last_seen: float
    gone_at: float | None
    created: int | None
    owned_by: str | None
    context_length: int | None


class Offer(NamedTuple):
    """What `GET /v1/models` shows of a model; there are thousands, so it is no more than that."""

    provider_id: str
    upstream_id: str
    first_seen: float
    created: int | None
    context_length: int | None


_OFFERS: Final = sa.select(*(model.c[name] for name in Offer._fields)).where(
    model.c.gone_at.is_(None)
)


def statuses(tx: sa.Connection, provider_ids: Iterable[str]) -> Mapping[str, DiscoveryStatus]:
    """What the last check of each of these providers found, where there was one."""
    query = sa.select(discovery.c.provider_id, discovery.c.status).where(
        discovery.c.provider_id.in_(list(provider_ids))
    )
    return {row.provider_id: DiscoveryStatus(row.status) for row in tx.execute(query)}


def verdicts(tx: sa.Connection, provider_ids: Iterable[str]) -> Mapping[str, Verdict]:
    """The verdicts of these providers; one that was never checked has none (it is `pending`)."""
    listed = (
        sa.select(sa.func.count())
        .select_from(model)
        .where(model.c.provider_id == discovery.c.provider_id, model.c.gone_at.is_(None))
        .scalar_subquery()
    )
    query = sa.select(
        discovery.c.provider_id,
        discovery.c.status,
        discovery.c.revision,
        discovery.c.checked_at,
        discovery.c.ok_at,
        discovery.c.key_verified_at,
        discovery.c.error_sealed,
        discovery.c.next_check_at,
        listed.label("model_count"),
        discovery.c.recent,
    ).where(discovery.c.provider_id.in_(list(provider_ids)))
    return {
        row.provider_id: Verdict(
            provider_id=row.provider_id,
            status=DiscoveryStatus(row.status),
            revision=row.revision,
            checked_at=row.checked_at,
            ok_at=row.ok_at,
            key_verified_at=row.key_verified_at,
            error_sealed=row.error_sealed,
            next_check_at=row.next_check_at,
            model_count=row.model_count,
            recent=_checks(row.recent),
        )
        for row in tx.execute(query)
    }


def _checks(recent: Iterable[tuple[float, float, str]] | None) -> Sequence[Check]:
    return [
        Check(begun_at, ended_at, DiscoveryStatus(status))
        for begun_at, ended_at, status in recent or ()
    ]


def models(
    tx: sa.Connection,
    provider_ids: Iterable[str],
    *,
    gone: bool = False,
    upstream_ids: Iterable[str] | None = None,
) -> Sequence[CatalogueModel]:
    """The models now listed by these providers, by provider, then by id.

    With `gone` also those that have vanished; with `upstream_ids` only those of these ids.
    """
    # Rows of a list that did not change are not written: its time is that of the whole list.
    listed = sa.and_(model.c.source == "listed", model.c.gone_at.is_(None))
    last_seen = sa.case((listed, discovery.c.ok_at), else_=model.c.last_seen)
    columns: dict[str, sa.ColumnElement[Any]] = {
        name: model.c[name] for name in CatalogueModel.__dataclass_fields__
    }
    columns["last_seen"] = sa.func.coalesce(last_seen, model.c.last_seen)
    query = (
        sa.select(*columns.values())
        .outerjoin(discovery, discovery.c.provider_id == model.c.provider_id)
        .where(model.c.provider_id.in_(list(provider_ids)))
        .order_by(model.c.provider_id, model.c.upstream_id)
    )
    if upstream_ids is not None:
        query = query.where(model.c.upstream_id.in_(list(upstream_ids)))
    if not gone:
        query = query.where(model.c.gone_at.is_(None))
    return [CatalogueModel(*row) for row in tx.execute(query)]


def offers(tx: sa.Connection, provider_ids: Iterable[str]) -> Sequence[Offer]:
    """All models now listed by these providers, in no order."""
    query = _OFFERS.where(model.c.provider_id.in_(list(provider_ids)))
    return [Offer._make(row) for row in tx.execute(query)]


def offer(tx: sa.Connection, provider_id: str, upstream_id: str) -> Offer | None:
    """One model of a provider, if it lists it now."""
    row = tx.execute(
        _OFFERS.where(model.c.provider_id == provider_id, model.c.upstream_id == upstream_id)
    ).first()
    return Offer._make(row) if row else None


def those_listing(tx: sa.Connection, provider_ids: Iterable[str]) -> set[str]:
    """The ids of those of these providers that now list any model."""
    listed = sa.exists().where(model.c.provider_id == provider.c.id, model.c.gone_at.is_(None))
    query = sa.select(provider.c.id).where(provider.c.id.in_(list(provider_ids)), listed)
    return set(tx.execute(query).scalars())


def offers_of(
    tx: sa.Connection, provider_id: str, *, beyond: str | None, descending: bool, limit: int
) -> Sequence[Offer]:
    """Up to `limit` models of one provider by id, beginning behind the id `beyond`.

    Ids are ordered by their code points, as Python orders them, whatever the database's own rules.
    """
    plain = "C" if tx.dialect.name == "postgresql" else "BINARY"
    upstream_id = sa.collate(model.c.upstream_id, plain)
    query = _OFFERS.where(model.c.provider_id == provider_id).limit(limit)
    if beyond is not None:
        query = query.where(upstream_id < beyond if descending else upstream_id > beyond)
    query = query.order_by(upstream_id.desc() if descending else upstream_id)
    return [Offer._make(row) for row in tx.execute(query)]


def holding(tx: sa.Connection, text: str, *, most: int) -> Sequence[tuple[str, str]]:
    """Provider and id of up to `most` listed models whose id holds this, in any case of a to z."""
    found = sa.func.lower(model.c.upstream_id).contains(text.lower(), autoescape=True)
    query = sa.select(model.c.provider_id, model.c.upstream_id).where(
        found, model.c.gone_at.is_(None)
    )
    return [(row.provider_id, row.upstream_id) for row in tx.execute(query.limit(most))]


def providers_listing(tx: sa.Connection, upstream_id: str) -> Sequence[str]:
    """The ids of enabled, living providers that now list this model."""
    query = (
        sa.select(model.c.provider_id)
        .join(provider, provider.c.id == model.c.provider_id)
        .where(
            model.c.upstream_id == upstream_id,
            model.c.gone_at.is_(None),
            provider.c.enabled.is_(True),
            provider.c.deleted_at.is_(None),
        )
        .order_by(model.c.provider_id)
    )
    return tx.execute(query).scalars().all()
