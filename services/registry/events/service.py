"""Pages of the feed and of timelines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from services.registry.database import Transactions
from services.registry.providers.lookup import find_visible
from shared import ids
from shared.domain import EventType
from shared.errors import InvalidValue, ProviderNotFound
from shared.store import events
from shared.store.access import Caller
from shared.store.events import Event


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which events a reader wants; None lets all pass. `provider` is an id."""

    type: EventType | None = None
    provider: str | None = None

    def admits(self, event: Event) -> bool:
        """Whether this event is wanted."""
        return self.type in (None, event.type) and self.provider in (None, event.subject)


@dataclass(frozen=True, slots=True)
class Page:
    """A page of events. All up to `last_seq` were looked at: the next page begins behind it."""

    events: Sequence[Event]
    has_more: bool
    last_seq: int


class Feed:
    """Use cases of events over the store of one process. All raise StoreUnavailable."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    def page(self, after: int, wanted: Wanted, *, limit: int) -> Page:
        """Up to `limit` wanted events behind the number `after`.

        Raises InvalidValue (param `after`) for a number that no event has had yet, and for one
        behind which events were deleted; 0 begins with the oldest that is kept.
        """

        def find(tx: sa.Connection) -> Page:
            last = events.last_seq(tx)
            if after > last:
                raise InvalidValue(
                    f"Expected the number of an event, {last} at most, got {after}. If this "
                    "database was restored, read the providers anew and go on from there.",
                    param="after",
                )
            first = events.first_seq(tx)
            if 0 < after < first - 1:
                raise InvalidValue(
                    f"Expected 0, or a number from {first - 1} on, got {after}. Older events were "
                    f"deleted after {events.KEPT_SECONDS // 86_400} days: read the providers anew "
                    "and go on from there.",
                    param="after",
                )
            found = events.feed(
                tx,
                after,
                upto=last,
                limit=limit + 1,
                type_=wanted.type,
                subject=wanted.provider,
            )
            page = found[:limit]
            has_more = len(found) > limit
            return Page(page, has_more, page[-1].seq if has_more else last)

        return self._transactions.read(find)

    def provider_id(self, reference: str, caller: Caller) -> str:
        """The id that a filter means: an id, also of a deleted provider, or a slug.

        A slug that nobody has stays what it is: like any filter, it then lets nothing pass.
        """
        if ids.bare(ids.PROVIDER, reference) is not None:
            return reference
        try:
            return self._transactions.read(lambda tx: find_visible(tx, reference, caller)).id
        except ProviderNotFound:
            return reference

    def timeline(
        self, reference: str, caller: Caller, *, limit: int, after: str | None, newest_first: bool
    ) -> tuple[Sequence[Event], bool]:
        """A page of what happened to one provider, and whether more follows.

        Raises ProviderNotFound, or InvalidValue when `after` is no event of this provider.
        """

        def find(tx: sa.Connection) -> Sequence[Event]:
            provider = find_visible(tx, reference, caller)
            if after is not None and not events.is_of(tx, after, provider.id):
                raise InvalidValue(
                    f"Expected the id of an event of {provider.slug!r}, got {after!r}.",
                    param="after",
                )
            return events.timeline(
                tx, provider.id, limit=limit + 1, after=after, newest_first=newest_first
            )

        found = self._transactions.read(find)
        return found[:limit], len(found) > limit
