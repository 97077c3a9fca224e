"""A provider's own API key: how it is stored, and what may be shown of it."""

from __future__ import annotations

from typing import Any, Final

from shared.crypto import Sealer

LAST4_FROM: Final = 16  # characters; of a shorter key four would give too much away
FINGERPRINT: Final = 8  # hex digits


def columns(typed: str | None, provider_id: str, sealer: Sealer, *, now: float) -> dict[str, Any]:
    """The columns of the key that was given at `now`, or was taken away (None)."""
    if typed is None:
        return {**without(), "api_key_rotated_at": now}
    place = {"table": "provider", "row": provider_id, "column": "api_key_sealed"}
    return {
        "api_key_sealed": sealer.seal(typed.encode(), **place),
        "api_key_last4": typed[-4:] if len(typed) >= LAST4_FROM else None,
        "api_key_fingerprint": sealer.fingerprint(typed)[:FINGERPRINT],
        "api_key_rotated_at": now,
    }


def without() -> dict[str, Any]:
    """The columns where there never was a key."""
    names = ("sealed", "last4", "fingerprint", "rotated_at")
    return dict.fromkeys((f"api_key_{name}" for name in names), None)
