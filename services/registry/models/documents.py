"""The catalogue as OpenAI's model list."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from services.registry.models.resolution import allows
from services.registry.providers import documents as provider_documents
from shared.domain import DiscoveryStatus
from shared.store.catalogue import CatalogueModel, Offer
from shared.store.providers import Provider


def model_id(provider: Provider, model: CatalogueModel) -> str:
    """The id by which our callers know a model."""
    return f"{prefix(provider)}{model.upstream_id}"


def prefix(provider: Provider) -> str:
    """What the ids of all models of this provider begin with, and of no other."""
    return f"{provider.slug}/"


def writer(
    provider: Provider, found: DiscoveryStatus | None
) -> Callable[[Offer], dict[str, Any] | None]:
    """What makes the model of API.md section 4 of an offer of this provider.

    None stands for a model that the provider's `allow_models` does not let through. `found` is
    what the provider's last check did. What all models of a provider share is made once.
    """
    head = prefix(provider)
    owner = {
        "id": provider.id,
        "name": provider.name,
        "status": provider_documents.status(provider, found).value,
    }
    everything = provider.options.get("allow_models") is None

    def document(offer: Offer) -> dict[str, Any] | None:
        if not (everything or allows(provider, offer.upstream_id)):
            return None
        return {
            "id": head + offer.upstream_id,
            "object": "model",
            "created": int(offer.first_seen if offer.created is None else offer.created),
            "owned_by": provider.slug,
            "context_length": offer.context_length,
            "max_model_len": offer.context_length,
            "provider": owner,
        }

    return document
