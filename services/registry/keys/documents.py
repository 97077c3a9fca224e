"""A key as admins see it; its secret is shown once, by the answer that made it."""

from __future__ import annotations

from typing import Any

from shared.store.access import Caller, Key, Limits
from shared.telemetry import Secret


def document(key: Key, secret: Secret | None = None) -> dict[str, Any]:
    """The key; with `key`, the secret itself, only where it was just made."""
    shown: dict[str, Any] = {
        "id": key.id,
        "object": "api_key",
        "name": key.name,
        "owner": key.owner,
        "role": key.role.value,
        "prefix": key.prefix,
        "created_at": int(key.created_at),
        "expires_at": _seconds(key.expires_at),
        "revoked_at": _seconds(key.revoked_at),
        "last_used_at": _seconds(key.last_used_at),
        "limits": _limits(key),
    }
    return shown if secret is None else {**shown, "key": secret.reveal()}


def caller(found: Caller) -> dict[str, Any]:
    """Whoever asks: the key, and the session of the console that stands for it, if one does."""
    return {
        "object": "caller",
        "key_id": found.key_id,
        "name": found.name,
        "owner": found.owner,
        "role": found.role.value,
        "expires_at": _seconds(found.expires_at),
        "session_expires_at": _seconds(found.session_until),
        "limits": _limits(found.limits or Limits()),
    }


def _limits(of: Key | Limits) -> dict[str, int | None]:
    return {
        "requests_per_minute": of.requests_per_minute,
        "tokens_per_day": of.tokens_per_day,
    }


def _seconds(moment: float | None) -> int | None:
    return None if moment is None else int(moment)
