"""Pages of providers: filtered in the order of their ids, read no further than the page needs."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa

from services.registry.providers import documents
from shared.domain import DiscoveryStatus
from shared.store import catalogue, providers
from shared.store.access import Caller
from shared.store.catalogue import Verdict
from shared.store.providers import Provider

CHUNK: Final = 200  # providers that are read at once while a filter looks for those it admits

Seen = tuple[Provider, Verdict | None]


@dataclass(frozen=True, slots=True)
class Filter:
    """Which providers a list shows; a default lets everything pass. `tags` must all be there."""

    tags: Sequence[str] = ()
    status: DiscoveryStatus | None = None
    q: str | None = None

    def admits(self, provider: Provider, found: DiscoveryStatus | None) -> bool:
        """Whether this provider is shown; `found` is what its last check did."""
        if not set(self.tags) <= set(provider.tags):
            return False
        if self.status is not None and documents.status(provider, found) is not self.status:
            return False
        if self.q is None:
            return True
        # Compared here, not by the database: SQLite knows upper and lower case of a to z only.
        wanted = unicodedata.normalize("NFC", self.q).casefold()
        texts = (provider.name, provider.slug, provider.endpoint, provider.description)
        return any(wanted in text.casefold() for text in texts)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page begins, which way it goes, and how many it holds."""

    after: str | None
    newest_first: bool
    limit: int


def page(
    tx: sa.Connection, shown: Filter, caller: Caller, place: Place
) -> tuple[Sequence[Seen], bool]:
    """The providers of one page that the caller may see, and whether more follow."""
    found: list[Provider] = []
    for provider in _admitted(tx, shown, caller, place):
        found.append(provider)
        if len(found) > place.limit:
            break
    kept = found[: place.limit]
    verdicts = catalogue.verdicts(tx, [provider.id for provider in kept])
    return [(one, verdicts.get(one.id)) for one in kept], len(found) > place.limit


def _admitted(tx: sa.Connection, shown: Filter, caller: Caller, place: Place) -> Iterator[Provider]:
    everything = shown == Filter() and caller.is_admin
    size = place.limit + 1 if everything else max(place.limit + 1, CHUNK)
    after = place.after
    while True:
        chunk = providers.page(tx, after=after, newest_first=place.newest_first, limit=size)
        ids = [provider.id for provider in chunk]
        found = catalogue.statuses(tx, ids) if shown.status is not None else {}
        for provider in chunk:
            if provider.visible_to(caller.owner, admin=caller.is_admin) and shown.admits(
                provider, found.get(provider.id)
            ):
                yield provider
        if len(chunk) < size:
            return
        after = ids[-1]
