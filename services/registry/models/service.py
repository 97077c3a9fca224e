"""Reads of the catalogue; none waits for an upstream server."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa

from services.registry.database import Transactions
from services.registry.models.documents import prefix, writer
from services.registry.models.resolution import UnknownModel, resolve
from shared.errors import ModelNotFound, ProviderDisabled
from shared.store import catalogue, providers
from shared.store.access import Caller
from shared.store.providers import Provider

PROVIDERS_CHUNK: Final = 500  # of which is asked at once whether they list any model
SMALLEST_CHUNK: Final = 20  # models that are read at once for a page
SEARCHED_CHUNK: Final = 1_000  # while a search looks for those that it names

Model = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which models a list shows: all, or those of a provider (id or slug), or of a tag.

    `q` keeps those whose id holds it, without regard to case.
    """

    provider: str | None = None
    tag: str | None = None
    q: str | None = None

    def admits(self, row: Provider, caller: Caller) -> bool:
        """Whether the models of this provider are shown to this caller."""
        return (
            row.enabled
            and row.visible_to(caller.owner, admin=caller.is_admin)
            and (self.provider is None or self.provider in (row.id, row.slug))
            and (self.tag is None or self.tag in row.tags)
        )

    def names(self, model: Model) -> bool:
        """Whether the id of this model holds what was searched for."""
        return self.q is None or self.q.casefold() in str(model["id"]).casefold()


class Models:
    """Use cases of models over the store of one process."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    def page(
        self, caller: Caller, wanted: Wanted, *, after: str | None, descending: bool, limit: int
    ) -> tuple[list[Model], bool]:
        """Up to `limit` of them from behind the id `after`, and whether more follow."""
        size = SMALLEST_CHUNK if wanted.q is None else SEARCHED_CHUNK
        size = max(limit + 1, size)

        def find(tx: sa.Connection) -> list[Model]:
            chosen = [row for row in providers.living(tx) if wanted.admits(row, caller)]
            found: list[Model] = []
            for row in _listing(tx, sorted(chosen, key=prefix, reverse=descending)):
                beyond = _beyond(tx, row, after, descending=descending, size=size)
                for shown in filter(wanted.names, beyond):
                    found.append(shown)
                    if len(found) > limit:
                        return found
            return found

        found = self._transactions.read(find)
        return found[:limit], len(found) > limit

    def list(self, caller: Caller, wanted: Wanted) -> list[Model]:
        """All wanted models of the enabled providers that the caller may see, by id."""

        def find(tx: sa.Connection) -> list[Model]:
            chosen = [row for row in providers.living(tx) if wanted.admits(row, caller)]
            ids = [row.id for row in chosen]
            found = catalogue.statuses(tx, ids)
            writers = {row.id: writer(row, found.get(row.id)) for row in chosen}
            shown = (writers[o.provider_id](o) for o in catalogue.offers(tx, ids))
            return sorted(filter(wanted.names, filter(None, shown)), key=_by_id)

        return self._transactions.read(find)

    def get(self, model: str, caller: Caller) -> Model:
        """The listed model that `model` means.

        Raises ModelNotFound or ModelAmbiguous.
        """

        def find(tx: sa.Connection) -> Model:
            try:
                resolved = resolve(tx, model, caller)
            except ProviderDisabled:
                raise ModelNotFound(
                    f"No model {model!r} is listed: its provider is disabled. "
                    "GET /v1/models shows what is.",
                    param="model",
                ) from None
            found = resolved.provider
            offer = None
            if "\x00" not in resolved.upstream_model:  # PostgreSQL refuses to compare it
                offer = catalogue.offer(tx, found.id, resolved.upstream_model)
            status = catalogue.statuses(tx, [found.id]).get(found.id)
            shown = writer(found, status)(offer) if offer is not None else None
            if shown is not None:
                return shown
            raise UnknownModel(
                f"No model {resolved.model!r} is listed by provider {found.slug!r}. "
                "GET /v1/models shows what is.",
                wanted=resolved.model,
            )

        return self._transactions.read(find)


def _by_id(model: Model) -> str:
    return str(model["id"])


def _listing(tx: sa.Connection, rows: Sequence[Provider]) -> Iterator[Provider]:
    """Those of these providers that list models; of thousands most may list none."""
    for start in range(0, len(rows), PROVIDERS_CHUNK):
        chunk = rows[start : start + PROVIDERS_CHUNK]
        listing = catalogue.those_listing(tx, [row.id for row in chunk])
        yield from (row for row in chunk if row.id in listing)


def _beyond(
    tx: sa.Connection, provider: Provider, after: str | None, *, descending: bool, size: int
) -> Iterator[Model]:
    """The models of one provider whose ids lie behind `after`, in their order, `size` at once."""
    head, beyond = prefix(provider), None
    if after is not None and after.startswith(head):
        beyond = after.removeprefix(head)
    elif after is not None and (head > after if descending else head < after):
        return  # all ids that begin so lie before the page
    document = writer(provider, catalogue.statuses(tx, [provider.id]).get(provider.id))
    while True:
        chunk = catalogue.offers_of(
            tx, provider.id, beyond=beyond, descending=descending, limit=size
        )
        yield from filter(None, map(document, chunk))
        if len(chunk) < size:
            return
        beyond = chunk[-1].upstream_id
