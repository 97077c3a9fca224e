"""Which provider a reference means to a caller: an id or a slug, wherever the API has `{id}`."""

from __future__ import annotations

import sqlalchemy as sa

from services.registry.providers import slugs
from shared import ids
from shared.errors import ProviderNotFound
from shared.store import providers
from shared.store.access import Caller
from shared.store.providers import Provider


def find_visible(tx: sa.Connection, reference: str, caller: Caller) -> Provider:
    """The living provider with this id or slug.

    Raises ProviderNotFound, also when the caller may not know that it exists.
    """
    provider = None
    if ids.bare(ids.PROVIDER, reference) is not None:
        provider = providers.by_id(tx, reference)
    elif slugs.is_slug(reference):
        provider = providers.by_slug(tx, reference)
    if provider is None or not provider.visible_to(caller.owner, admin=caller.is_admin):
        raise unknown(reference)
    return provider


def unknown(reference: str) -> ProviderNotFound:
    """The error about a reference that means nothing to the caller."""
    return ProviderNotFound(
        f"Expected the id or slug of a provider, got {reference[:100]!r}. "
        "GET /v1/providers shows what there is."
    )
