"""Which provider a model id means.

An id is `slug/upstream-id`, split at the first `/`; it is accepted whether or not the provider
lists it, because many servers do not list everything. A bare upstream id resolves when exactly
one enabled provider that the caller may see lists it.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final

import sqlalchemy as sa

from services.registry.database import batch_memo
from services.registry.providers import slugs
from shared.errors import ModelAmbiguous, ModelNotFound, ProviderDisabled
from shared.store import catalogue, providers
from shared.store.access import Caller
from shared.store.providers import Provider

MOST_NAMED: Final = 10  # of the providers that list one model


class UnknownModel(ModelNotFound):
    """Nothing that the caller may use is meant by `wanted`; whoever tells it may offer others."""

    def __init__(self, message: str, *, wanted: str) -> None:
        super().__init__(message, param="model")
        self.wanted = wanted


@dataclass(frozen=True, slots=True)
class Resolved:
    """A provider, and the id by which it knows the model."""

    provider: Provider
    upstream_model: str

    @property
    def model(self) -> str:
        """The id by which our callers know the model."""
        return f"{self.provider.slug}/{self.upstream_model}"


def resolve(tx: sa.Connection, model: str, caller: Caller) -> Resolved:
    """What `model` means to this caller.

    Raises ModelNotFound, ModelAmbiguous, or ProviderDisabled for a provider that takes no jobs.
    """
    slug, slash, rest = model.partition("/")
    if slash and rest:
        provider = _by_slug(tx, slug)
        if provider is not None and provider.visible_to(caller.owner, admin=caller.is_admin):
            return _named(provider, rest)
    return _bare(tx, model, caller)


def allows(provider: Provider, upstream_model: str) -> bool:
    """Whether the provider's `allow_models` lets this model through."""
    globs = provider.options.get("allow_models")
    return globs is None or any(fnmatchcase(upstream_model, glob) for glob in globs)


def _by_slug(tx: sa.Connection, slug: str) -> Provider | None:
    if not slugs.is_slug(slug):
        return None
    memo = batch_memo(tx)
    if slug not in memo:
        memo[slug] = providers.by_slug(tx, slug)
    found: Provider | None = memo[slug]
    return found


def _named(provider: Provider, upstream_model: str) -> Resolved:
    if not provider.enabled:
        raise ProviderDisabled(
            f"Expected a provider that takes jobs, got {provider.slug!r}, which is disabled. "
            "Enable it, or use another one.",
            param="model",
        )
    if not allows(provider, upstream_model):
        raise UnknownModel(
            f"Expected a model that provider {provider.slug!r} allows, got {upstream_model!r}. "
            "Its `allow_models` decides which ones it offers.",
            wanted=f"{provider.slug}/{upstream_model}",
        )
    return Resolved(provider, upstream_model)


def _bare(tx: sa.Connection, model: str, caller: Caller) -> Resolved:
    # A path may hold NUL, which PostgreSQL refuses to compare.
    listed_by = catalogue.providers_listing(tx, model) if "\x00" not in model else ()
    listing = providers.living(tx, listed_by)
    found = [
        provider
        for provider in listing
        if provider.visible_to(caller.owner, admin=caller.is_admin) and allows(provider, model)
    ]
    if len(found) == 1:
        return Resolved(found[0], model)
    if found:
        ids = ", ".join(f"{provider.slug}/{model}" for provider in found[:MOST_NAMED])
        others = len(found) - MOST_NAMED
        if others > 0:
            ids += f" and {others} more"
        raise ModelAmbiguous(
            f"Expected a model id that one provider lists, got {model!r}, which {len(found)} "
            f"list. Name one of them: {ids}.",
            param="model",
        )
    slug, slash, rest = model.partition("/")
    why = "which no provider lists"
    if slash and slugs.is_slug(slug):
        why = "whose provider does not exist" if rest else "without a model behind the slash"
    raise UnknownModel(
        f"Expected a model that a provider lists, or provider/model, got {model!r}, {why}. "
        "GET /v1/models shows what there is.",
        wanted=model,
    )
