"""Reads of the catalogue; none waits for an upstream server."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from services.registry.database import Transactions
from services.registry.models.documents import listing
from services.registry.models.resolution import resolve
from shared.errors import ModelNotFound, ProviderDisabled
from shared.store import catalogue, providers
from shared.store.access import Caller
from shared.store.providers import Provider


class Models:
    """Use cases of models over the store of one process."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    def list(
        self, caller: Caller, *, provider: str | None = None, tag: str | None = None
    ) -> list[dict[str, Any]]:
        """All models of the enabled providers that the caller may see.

        `provider` (id or slug) and `tag` narrow the providers.
        """

        def wanted(row: Provider) -> bool:
            return (
                row.enabled
                and row.visible_to(caller.owner, admin=caller.is_admin)
                and (provider is None or provider in (row.id, row.slug))
                and (tag is None or tag in row.tags)
            )

        def find(tx: sa.Connection) -> list[dict[str, Any]]:
            chosen = [row for row in providers.living(tx) if wanted(row)]
            provider_ids = [row.id for row in chosen]
            return listing(
                chosen, catalogue.models(tx, provider_ids), catalogue.verdicts(tx, provider_ids)
            )

        return self._transactions.read(find)

    def get(self, model: str, caller: Caller) -> dict[str, Any]:
        """The listed model that `model` means.

        Raises ModelNotFound or ModelAmbiguous.
        """

        def find(tx: sa.Connection) -> dict[str, Any]:
            try:
                resolved = resolve(tx, model, caller)
            except ProviderDisabled:
                raise ModelNotFound(
                    f"No model {model!r} is listed: its provider is disabled. "
                    "GET /v1/models shows what is.",
                    param="model",
                ) from None
            found = resolved.provider
            listed = listing(
                [found], catalogue.models(tx, [found.id]), catalogue.verdicts(tx, [found.id])
            )
            for entry in listed:
                if entry["id"] == resolved.model:
                    return entry
            raise ModelNotFound(
                f"No model {resolved.model!r} is listed by provider {found.slug!r}. "
                "GET /v1/models shows what is.",
                param="model",
            )

        return self._transactions.read(find)
