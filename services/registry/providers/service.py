"""What happens to providers; each change and its events are one transaction."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from services.registry.database import batch_memo
from services.registry.parts import Parts
from services.registry.providers import changes, endpoints, keys, listing, slugs
from services.registry.providers.listing import Filter, Place, Seen
from services.registry.providers.lookup import find_visible, unknown
from shared import ids, live
from shared.errors import StaleRevision
from shared.store import audit, catalogue, jobs, provider_changes, providers
from shared.store.access import Caller
from shared.store.audit import Action, Actor
from shared.store.jobs.impact import Impact, impact_of
from shared.store.providers import Provider

May = Callable[[int], bool]  # whether a precondition lets a change of this revision happen


class Providers:
    """Use cases of providers over the parts of one process."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._transactions = parts.transactions

    def create(self, body: Mapping[str, Any], actor: Actor) -> Provider:
        """The new provider, usable at once; raises InvalidValue or ProviderNameTaken."""
        endpoint = endpoints.located(body["endpoint"], self._parts.policy)
        provider_id, now = ids.new(ids.PROVIDER), self._parts.now()
        key = keys.without()
        if body["api_key"] is not None:
            key = keys.columns(body["api_key"], provider_id, self._parts.sealer, now=now)
        slug = body.get("slug")
        fixed = {
            "id": provider_id,
            "name": body["name"],
            **endpoints.columns(body["endpoint"], endpoint),
            **key,
            "description": body["description"],
            "tags": body["tags"],
            "visibility": body["visibility"],
            "options": body["options"],
            "max_concurrency": body["options"]["max_concurrency"],
            "enabled": body["enabled"],
            "revision": 1,
            "created_at": now,
            "updated_at": now,
        }

        def insert(tx: sa.Connection) -> Provider:
            batch_memo(tx).clear()
            provider_changes.hold(tx)  # before the slug is found free
            chosen = slug or slugs.derive(body["name"], _Taken(tx))
            provider = Provider(slug=chosen, **fixed)
            providers.create(tx, provider)
            detail = {"slug": chosen}
            audit.append(
                tx, actor, Action.PROVIDER_CREATE, at=now, subject=provider_id, detail=detail
            )
            return provider

        created = self._transactions.write(insert)
        self._parts.relay.look_now()
        return created

    def get(self, reference: str, caller: Caller) -> Seen:
        """The provider with this id or slug; raises ProviderNotFound."""
        return self._transactions.read(lambda tx: _seen(tx, find_visible(tx, reference, caller)))

    def list(self, shown: Filter, caller: Caller, place: Place) -> tuple[Sequence[Seen], bool]:
        """One page of those that the caller may see and the filter admits; whether more follow."""
        return self._transactions.read(lambda tx: listing.page(tx, shown, caller, place))

    def change(
        self, reference: str, patch: Mapping[str, Any], caller: Caller, actor: Actor, *, may: May
    ) -> Seen:
        """The provider after this merge patch (of `ProviderPatch`).

        Raises ProviderNotFound, StaleRevision when `may` refuses the current revision,
        InvalidValue or ProviderNameTaken.
        """
        now, sealer = self._parts.now(), self._parts.sealer
        endpoint = None
        if "endpoint" in patch:
            endpoint = endpoints.located(patch["endpoint"], self._parts.policy)

        def apply(tx: sa.Connection) -> tuple[Seen, bool]:
            batch_memo(tx).clear()
            provider_changes.hold(tx)  # before the provider is read: no other change comes between
            before = find_visible(tx, reference, caller)
            _demand(may, before)
            after = changes.patched(before, patch, endpoint, sealer, now=now)
            if not provider_changes.change(tx, before, after, at=now):
                return _seen(tx, before), False
            detail = {"fields": provider_changes.changed_fields(before, after)}
            audit.append(
                tx, actor, Action.PROVIDER_UPDATE, at=now, subject=before.id, detail=detail
            )
            return _seen(tx, find_visible(tx, before.id, caller)), True

        seen, changed = self._transactions.write(apply)
        if changed:
            self._parts.relay.look_now()
            self._parts.bell.ring()  # enabled, moved or less limited: waiting jobs may run now
        return seen

    def impact(self, reference: str, caller: Caller) -> tuple[Provider, Impact]:
        """The provider, and what a delete of it would touch; raises ProviderNotFound."""

        def find(tx: sa.Connection) -> tuple[Provider, Impact]:
            provider = find_visible(tx, reference, caller)
            return provider, impact_of(tx, provider.id)

        return self._transactions.read(find)

    def delete(self, reference: str, caller: Caller, actor: Actor, *, may: May) -> None:
        """Delete the record and end its queued jobs; the server is never contacted.

        Raises ProviderNotFound, or StaleRevision when `may` refuses the current revision.
        """
        now, retention = self._parts.now(), self._parts.retention

        def remove(tx: sa.Connection) -> Sequence[str]:
            batch_memo(tx).clear()
            provider_changes.hold(tx)
            provider = find_visible(tx, reference, caller)
            _demand(may, provider)
            if providers.delete(tx, provider.id, at=now) is None:
                raise unknown(reference)
            detail = {"slug": provider.slug}  # nobody can look it up any more
            audit.append(
                tx, actor, Action.PROVIDER_DELETE, at=now, subject=provider.id, detail=detail
            )
            return jobs.fail_of_deleted_provider(tx, provider.id, now=now, retention=retention)

        ended = self._transactions.write(remove)
        self._parts.relay.look_now()
        self._parts.notices.send(live.ENDED, ended)


class _Taken:
    """The slugs of living providers, asked one by one."""

    def __init__(self, tx: sa.Connection) -> None:
        self._tx = tx

    def __contains__(self, slug: object) -> bool:
        return providers.by_slug(self._tx, str(slug)) is not None


def _seen(tx: sa.Connection, provider: Provider) -> Seen:
    return provider, catalogue.verdicts(tx, [provider.id]).get(provider.id)


def _demand(may: May, provider: Provider) -> None:
    if not may(provider.revision):
        raise StaleRevision(
            f"Expected If-Match to name revision {provider.revision}, got another one. "
            "Read the provider again."
        )
