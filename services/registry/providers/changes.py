"""What a merge patch makes of a provider; it touches neither the database nor the network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from services.registry.providers import endpoints, keys
from services.registry.refusals import shown
from shared.crypto import Sealer
from shared.errors import InvalidValue
from shared.store.providers import Provider
from shared.upstream.endpoint import Endpoint


def patched(
    provider: Provider,
    patch: Mapping[str, Any],
    endpoint: Endpoint | None,
    sealer: Sealer,
    *,
    now: float,
) -> Provider:
    """The provider as this patch (of `ProviderPatch`) wants it; equal when it wants no change.

    `endpoint` is where `patch["endpoint"]` leads, None without one. Raises InvalidValue for another
    slug, and for an endpoint to which a stored key must not go.
    """
    slug = patch.get("slug", provider.slug)
    if slug != provider.slug:
        raise InvalidValue(
            f"slug: Expected none, or the present one ({provider.slug!r}), got {shown(slug)}: a "
            "slug cannot be changed, because model ids begin with it. Create another provider "
            "instead.",
            param="slug",
        )
    plain = ("name", "description", "tags", "visibility", "enabled")
    changes: dict[str, Any] = {name: patch[name] for name in plain if name in patch}
    if "options" in patch:
        changes["options"] = {**provider.options, **patch["options"]}
        changes["max_concurrency"] = changes["options"]["max_concurrency"]
    if endpoint is not None:
        if "api_key" not in patch:
            endpoints.refuse_to_carry_key(provider, endpoint)
        changes |= endpoints.columns(patch["endpoint"], endpoint)
    if "api_key" in patch and not _stays_without(provider, patch["api_key"]):
        changes |= keys.columns(patch["api_key"], provider.id, sealer, now=now)
    return replace(provider, **changes)


def _stays_without(provider: Provider, typed: str | None) -> bool:
    return typed is None and provider.api_key_sealed is None
