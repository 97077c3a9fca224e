"""Logins to the console: a row for each browser, found by the digest of its token."""

from __future__ import annotations

import hashlib

import sqlalchemy as sa

from shared.store.schema import console_session


def digest(token: str) -> str:
    """SHA-256 of a session's token, in hex."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def begin(
    tx: sa.Connection, session_digest: str, *, key_id: str, now: float, expires_at: float
) -> None:
    """Store a session of this key, and forget those of anybody that are over."""
    tx.execute(sa.delete(console_session).where(console_session.c.expires_at <= now))
    tx.execute(
        sa.insert(console_session).values(
            digest=session_digest, key_id=key_id, created_at=now, expires_at=expires_at
        )
    )


def end(tx: sa.Connection, session_digest: str) -> bool:
    """Forget a session; whether there was one."""
    ended = tx.execute(
        sa.delete(console_session)
        .where(console_session.c.digest == session_digest)
        .returning(console_session.c.digest)
    )
    return ended.first() is not None


def end_all_of(tx: sa.Connection, key_id: str) -> None:
    """Forget all sessions of a key, which was revoked."""
    tx.execute(sa.delete(console_session).where(console_session.c.key_id == key_id))
