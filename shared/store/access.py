"""API keys: who is calling, and as what.

A key reads `dgm_<id>_<secret>`; only its SHA-256 is stored, which is safe because the secret is
192 random bits. The *owner* is the principal: all keys of one owner see the same jobs.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import sqlalchemy as sa

from shared import ids
from shared.store.schema import api_key, console_session
from shared.telemetry import Secret


class Role(StrEnum):
    """What a key may do: `admin` all, `member` chat and read."""

    ADMIN = "admin"
    MEMBER = "member"


@dataclass(frozen=True, slots=True)
class Limits:
    """What a key may use; None where there is no limit. Days are those of UTC."""

    requests_per_minute: int | None = None
    tokens_per_day: int | None = None


@dataclass(frozen=True, slots=True)
class Caller:
    """The living key that signed a request, or that a session of the console stands for.

    `limits` is None where there are none, `session_until` where no session signed.
    """

    key_id: str
    owner: str
    role: Role
    expires_at: float | None
    name: str = ""
    limits: Limits | None = None
    session_until: float | None = None

    @property
    def is_admin(self) -> bool:
        """Whether the key may see and change everything."""
        return self.role is Role.ADMIN


@dataclass(frozen=True, slots=True)
class Key:
    """An API key as admins see it; times in Unix seconds, `last_used_at` to the minute.

    Limits are None where there are none.
    """

    id: str
    name: str
    owner: str
    role: Role
    prefix: str
    created_at: float
    expires_at: float | None
    revoked_at: float | None
    last_used_at: float | None
    requests_per_minute: int | None
    tokens_per_day: int | None


_KEY: Final = sa.select(*[api_key.c[name] for name in Key.__dataclass_fields__])


# Its id is a ULID in small letters.
_OURS: Final = re.compile(r"dgm_([0-7][0-9a-hjkmnp-tv-z]{25})_[\w-]{32}", re.ASCII)


def new_secret() -> Secret:
    """A fresh key text; shown once, then only its digest is kept."""
    return Secret(f"dgm_{ids.new().lower()}_{secrets.token_urlsafe(24)}")


def digest(key: str) -> str:
    """SHA-256 of a presented key, in hex."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def add_key(
    tx: sa.Connection,
    secret: Secret,
    *,
    name: str,
    owner: str,
    role: Role,
    now: float,
    expires_at: float | None = None,
    limits: Limits | None = None,
) -> str:
    """Store a key's digest; returns its id."""
    own_id = _id_in(secret)
    key_id = own_id or ids.new(ids.KEY)
    tx.execute(
        sa.insert(api_key).values(
            id=key_id,
            name=name,
            owner=owner,
            role=role,
            # The id in a key of ours is no secret. Its first ten characters are its time: two more
            # tell keys of one moment apart.
            prefix=secret.reveal()[: 12 if own_id is None else 16],
            digest=digest(secret.reveal()),
            created_at=now,
            expires_at=expires_at,
            requests_per_minute=None if limits is None else limits.requests_per_minute,
            tokens_per_day=None if limits is None else limits.tokens_per_day,
        )
    )
    return key_id


def _id_in(secret: Secret) -> str | None:
    """The id that a key of our own making shows; None for an operator's own text."""
    found = _OURS.fullmatch(secret.reveal())
    return ids.KEY + found[1].upper() if found else None


def keys(tx: sa.Connection, *, owner: str | None = None) -> Sequence[Key]:
    """All keys, or those of one owner, revoked ones included, oldest first."""
    query = _KEY.order_by(api_key.c.id)
    if owner is not None:
        query = query.where(api_key.c.owner == owner)
    return [_key(row) for row in tx.execute(query)]


def key(tx: sa.Connection, key_id: str) -> Key | None:
    """The key with this id."""
    row = tx.execute(_KEY.where(api_key.c.id == key_id)).first()
    return _key(row) if row else None


def names(tx: sa.Connection, key_ids: Iterable[str]) -> dict[str, dict[str, str]]:
    """Id → name and owner of these keys, revoked ones included."""
    query = sa.select(api_key.c.id, api_key.c.name, api_key.c.owner).where(
        api_key.c.id.in_(list(key_ids))
    )
    return {row.id: {"name": row.name, "owner": row.owner} for row in tx.execute(query)}


def _key(row: sa.Row[Any]) -> Key:
    return Key(**{**row._mapping, "role": Role(row.role)})


def revoke(tx: sa.Connection, key_id: str, *, now: float) -> None:
    """End a key for good."""
    tx.execute(sa.update(api_key).where(api_key.c.id == key_id).values(revoked_at=now))


def touch(tx: sa.Connection, key_ids: Iterable[str], *, now: float) -> None:
    """Note that these keys were used."""
    ids_ = sorted(key_ids)
    tx.execute(sa.update(api_key).where(api_key.c.id.in_(ids_)).values(last_used_at=now))


def has_digest(tx: sa.Connection, key_digest: str) -> bool:
    """Whether this key was ever stored, revoked ones included."""
    query = sa.select(api_key.c.id).where(api_key.c.digest == key_digest)
    return tx.execute(query).first() is not None


def hold_admins(tx: sa.Connection) -> None:
    """Let nobody else revoke an admin key until this transaction ends.

    Call it before reading, so that of two who revoke the last two keys the second sees it.
    """
    admins = api_key.c.role == Role.ADMIN, api_key.c.revoked_at.is_(None)
    tx.execute(sa.select(api_key.c.id).where(*admins).order_by(api_key.c.id).with_for_update())


def any_admin(tx: sa.Connection, *, now: float) -> bool:
    """Whether a living admin key exists."""
    query = sa.select(api_key.c.id).where(api_key.c.role == Role.ADMIN, living(now))
    return tx.execute(query.limit(1)).first() is not None


_CALLER: Final = (
    api_key.c.id,
    api_key.c.owner,
    api_key.c.role,
    api_key.c.expires_at,
    api_key.c.name,
    api_key.c.requests_per_minute,
    api_key.c.tokens_per_day,
)


def living(now: float) -> sa.ColumnElement[bool]:
    """Whether a key is neither revoked nor expired."""
    return sa.and_(
        api_key.c.revoked_at.is_(None),
        sa.or_(api_key.c.expires_at.is_(None), api_key.c.expires_at > now),
    )


def find_caller(tx: sa.Connection, key_digest: str, *, now: float) -> Caller | None:
    """The caller whose living key has this digest, or None."""
    row = tx.execute(sa.select(*_CALLER).where(api_key.c.digest == key_digest, living(now))).first()
    return None if row is None else _caller(row)


def find_in_session(tx: sa.Connection, session_digest: str, *, now: float) -> Caller | None:
    """The caller whose living key has a living session of this digest, or None."""
    query = (
        sa.select(*_CALLER, console_session.c.expires_at.label("session_until"))
        .join(console_session, console_session.c.key_id == api_key.c.id)
        .where(
            console_session.c.digest == session_digest,
            console_session.c.expires_at > now,
            living(now),
        )
    )
    row = tx.execute(query).first()
    return None if row is None else _caller(row, row.session_until)


def _caller(row: Any, session_until: float | None = None) -> Caller:
    limits = Limits(row.requests_per_minute, row.tokens_per_day)
    return Caller(
        row.id,
        row.owner,
        Role(row.role),
        row.expires_at,
        row.name,
        None if limits == Limits() else limits,
        session_until,
    )
