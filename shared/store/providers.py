"""Providers: the registered endpoints. Only the registry writes here.

Every change appends its event in the same transaction, so that no consumer can see one without
the other. A deleted provider stays as a tombstone, because its jobs name it; it holds nothing that
they do not need, and its name and slug are free.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import exc

from shared.domain import EventType
from shared.errors import ProviderNameTaken
from shared.store import events
from shared.store.prepared import Prepared
from shared.store.schema import provider


@dataclass(frozen=True, slots=True)
class Provider:
    """One provider as stored; the API key stays sealed."""

    id: str
    name: str
    slug: str
    endpoint: str
    chat_url: str
    models_url: str
    host: str
    port: int
    api_key_sealed: str | None
    api_key_last4: str | None
    api_key_fingerprint: str | None
    api_key_rotated_at: float | None
    description: str
    tags: Sequence[str]
    visibility: str | Sequence[str]
    options: Mapping[str, Any]
    max_concurrency: int | None
    enabled: bool
    revision: int
    created_at: float
    updated_at: float
    deleted_at: float | None = None

    def visible_to(self, owner: str, *, admin: bool) -> bool:
        """Whether this caller may know that the provider exists."""
        if admin or self.visibility == "everyone":
            return True
        return not isinstance(self.visibility, str) and owner in self.visibility


_COLUMNS = [provider.c[name] for name in Provider.__dataclass_fields__]
# Built once: putting a statement together costs more than running it.
_LIVING: Final = sa.select(*_COLUMNS).where(provider.c.deleted_at.is_(None))
_BY_ID: Final = Prepared(_LIVING.where(provider.c.id == sa.bindparam("wanted")))
_BY_SLUG: Final = Prepared(_LIVING.where(provider.c.slug == sa.bindparam("wanted")))
# What a tombstone lets go of: the key with all its traces, where the server was (its query may hold
# a secret too), and what people wrote. Jobs need the id and the slug, people the name.
_FORGOTTEN: Final[Mapping[str, Any]] = {
    "endpoint": "",
    "chat_url": "",
    "models_url": "",
    "host": "",
    "port": 0,
    "api_key_sealed": None,
    "api_key_last4": None,
    "api_key_fingerprint": None,
    "api_key_rotated_at": None,
    "description": "",
    "tags": [],
    "visibility": [],
    "options": {},
    "max_concurrency": None,
}


def _provider(row: Sequence[Any]) -> Provider:
    return Provider(*row)


def fold(name: str) -> str:
    """The form in which names are compared: without regard to case."""
    return name.casefold()


def create(tx: sa.Connection, new: Provider) -> events.Event:
    """Store a provider and its `provider.created`; raises ProviderNameTaken."""
    events.hold(tx)
    values = {name: getattr(new, name) for name in Provider.__dataclass_fields__}
    try:
        with tx.begin_nested():
            tx.execute(sa.insert(provider).values(**values, name_folded=fold(new.name)))
    except exc.IntegrityError:
        field = "slug" if by_slug(tx, new.slug) else "name"
        raise taken(field, getattr(new, field)) from None
    return events.append(
        tx,
        EventType.PROVIDER_CREATED,
        subject=new.id,
        revision=new.revision,
        at=new.created_at,
    )


def taken(field: str, value: str) -> ProviderNameTaken:
    """The error about a name or a slug that another provider has."""
    return ProviderNameTaken(
        f"Expected a {field} that no other provider has, got {value!r}, which "
        f"is taken. Choose another {field}, or delete the provider that has it.",
        param=field,
    )


def by_id(tx: sa.Connection, provider_id: str) -> Provider | None:
    """The living provider with this id."""
    return _one(tx, _BY_ID, provider_id)


def by_slug(tx: sa.Connection, slug: str) -> Provider | None:
    """The living provider with this slug."""
    return _one(tx, _BY_SLUG, slug)


def _one(tx: sa.Connection, query: Prepared, wanted: str) -> Provider | None:
    row = query.first(tx, {"wanted": wanted})
    return _provider(row) if row else None


def living(tx: sa.Connection, ids: Iterable[str] | None = None) -> Sequence[Provider]:
    """All living providers, or those of them among `ids`, oldest first."""
    query = _LIVING.order_by(provider.c.id)
    if ids is not None:
        query = query.where(provider.c.id.in_(list(ids)))
    return [_provider(row) for row in tx.execute(query)]


def beginning(tx: sa.Connection, head: str, *, most: int) -> set[str]:
    """The ids of up to `most` living providers whose slug begins so."""
    query = sa.select(provider.c.id).where(
        provider.c.deleted_at.is_(None), provider.c.slug.startswith(head, autoescape=True)
    )
    return set(tx.execute(query.limit(most)).scalars())


def page(
    tx: sa.Connection, *, after: str | None, newest_first: bool, limit: int
) -> Sequence[Provider]:
    """Up to `limit` living providers beyond the id `after`, oldest or newest first."""
    query = _LIVING.order_by(provider.c.id.desc() if newest_first else provider.c.id).limit(limit)
    if after is not None:
        query = query.where(provider.c.id < after if newest_first else provider.c.id > after)
    return [_provider(row) for row in tx.execute(query)]


def delete(tx: sa.Connection, provider_id: str, *, at: float) -> events.Event | None:
    """Turn a living provider into a tombstone; None when there is none."""
    events.hold(tx)
    row = tx.execute(
        sa.update(provider)
        .where(provider.c.id == provider_id, provider.c.deleted_at.is_(None))
        .values(**_FORGOTTEN, deleted_at=at, updated_at=at, revision=provider.c.revision + 1)
        .returning(provider.c.revision)
    ).first()
    if row is None:
        return None
    return events.append(
        tx, EventType.PROVIDER_DELETED, subject=provider_id, revision=row.revision, at=at
    )


def names(tx: sa.Connection, provider_ids: Iterable[str]) -> dict[str, dict[str, str]]:
    """Id → slug and name of these providers, deleted ones included."""
    query = sa.select(provider.c.id, provider.c.slug, provider.c.name).where(
        provider.c.id.in_(list(provider_ids))
    )
    return {row.id: {"slug": row.slug, "name": row.name} for row in tx.execute(query)}
