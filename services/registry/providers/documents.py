"""A provider as its users see it; its key is never among what they see."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from services.registry import problems
from shared.crypto import SealBroken, Sealer
from shared.domain import DiscoveryStatus
from shared.store.catalogue import Verdict
from shared.store.jobs.impact import Impact
from shared.store.providers import Provider

ERROR_PLACE: Final = {"table": "discovery", "column": "error_sealed"}


def document(provider: Provider, verdict: Verdict | None, sealer: Sealer) -> dict[str, Any]:
    """The provider of API.md section 3."""
    return {
        "id": provider.id,
        "object": "provider",
        "name": provider.name,
        "slug": provider.slug,
        "endpoint": provider.endpoint,
        "chat_url": provider.chat_url,
        "models_url": provider.models_url,
        "api_key": {
            "set": provider.api_key_sealed is not None,
            "last4": provider.api_key_last4,
            "fingerprint": provider.api_key_fingerprint,
            "rotated_at": _seconds(provider.api_key_rotated_at),
        },
        "description": provider.description,
        "tags": list(provider.tags),
        "enabled": provider.enabled,
        "visibility": provider.visibility,
        "options": {**provider.options},
        "discovery": _discovery(provider, verdict, sealer),
        "revision": provider.revision,
        "created_at": int(provider.created_at),
        "updated_at": int(provider.updated_at),
    }


def tag(shown: Mapping[str, Any]) -> str:
    """What names this document: its revision, and what discovery, another writer, found."""
    found = msgspec.json.encode(shown["discovery"])
    return f"{shown['revision']}.{hashlib.blake2s(found, digest_size=4).hexdigest()}"


def status(provider: Provider, found: DiscoveryStatus | None) -> DiscoveryStatus:
    """What the provider's discovery shows; `found` is what its last check did, if there was one."""
    if not provider.enabled:
        return DiscoveryStatus.DISABLED
    if found is None or found is DiscoveryStatus.DISABLED:  # enabled since that verdict
        return DiscoveryStatus.PENDING
    return found


def impact(provider: Provider, found: Impact) -> dict[str, Any]:
    """What a delete of the provider would touch."""
    return {
        "id": provider.id,
        "object": "provider.impact",
        "queued": found.queued,
        "running": found.running,
        "last_used_at": _seconds(found.last_used_at),
        "message": (
            "A delete removes only Dragoman's record; the inference server is not contacted. "
            f"Queued jobs would fail ({found.queued}), running ones would finish "
            f"({found.running}), and finished ones would stay readable."
        ),
    }


def _discovery(provider: Provider, verdict: Verdict | None, sealer: Sealer) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "status": status(provider, verdict.status if verdict else None).value,
        "checked_at": None,
        "ok_at": None,
        "model_count": 0,
        "key_verified_at": None,
        "error": None,
        "next_check_at": _next_check_at(provider, verdict),
    }
    if verdict is None:
        return shown
    shown |= {
        "checked_at": _seconds(verdict.checked_at),
        "ok_at": _seconds(verdict.ok_at),
        "model_count": verdict.model_count,
        "key_verified_at": _key_verified_at(provider, verdict),
    }
    if verdict.error_sealed is not None:
        try:
            told = sealer.open(verdict.error_sealed, row=provider.id, **ERROR_PLACE)
            shown["error"] = msgspec.json.decode(told)
        except SealBroken as broken:  # one such row must not take the list away
            missing = problems.unreadable(broken)
            shown["error"] = {"message": missing.message, "code": missing.code}
    return shown


def _next_check_at(provider: Provider, verdict: Verdict | None) -> int | None:
    if not provider.enabled:
        return None
    if verdict is None or verdict.revision != provider.revision:
        return int(provider.updated_at)  # whatever was changed is checked at once
    return int(verdict.next_check_at)


def _key_verified_at(provider: Provider, verdict: Verdict) -> int | None:
    """When the present key was proven; what proved the one before says nothing of it."""
    verified, rotated = verdict.key_verified_at, provider.api_key_rotated_at
    if provider.api_key_sealed is None or verified is None:
        return None
    return None if rotated is not None and verified < rotated else int(verified)


def _seconds(moment: float | None) -> int | None:
    return None if moment is None else int(moment)
