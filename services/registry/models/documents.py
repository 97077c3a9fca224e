"""The catalogue as OpenAI's model list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from services.registry.models.resolution import allows
from services.registry.providers import documents as provider_documents
from shared.store.catalogue import CatalogueModel, Verdict
from shared.store.providers import Provider


def model_id(provider: Provider, model: CatalogueModel) -> str:
    """The id by which our callers know a model."""
    return f"{provider.slug}/{model.upstream_id}"


def listing(
    providers: Sequence[Provider],
    models: Sequence[CatalogueModel],
    verdicts: Mapping[str, Verdict],
) -> list[dict[str, Any]]:
    """The models that these providers offer, by id."""
    by_id = {provider.id: provider for provider in providers}
    found = [
        document(provider, model, verdicts.get(provider.id))
        for model in models
        if (provider := by_id.get(model.provider_id)) is not None
        and allows(provider, model.upstream_id)
    ]
    return sorted(found, key=lambda entry: str(entry["id"]))


def document(provider: Provider, model: CatalogueModel, verdict: Verdict | None) -> dict[str, Any]:
    """The model of API.md section 4."""
    created = model.first_seen if model.created is None else model.created
    return {
        "id": model_id(provider, model),
        "object": "model",
        "created": int(created),
        "owned_by": provider.slug,
        "context_length": model.context_length,
        "max_model_len": model.context_length,
        "provider": {
            "id": provider.id,
            "name": provider.name,
            "status": provider_documents.status(provider, verdict).value,
        },
    }
