"""What happens to providers; each change and its event are one transaction."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa

from services.registry.database import batch_memo
from services.registry.parts import Parts
from services.registry.providers import documents, slugs
from services.registry.providers.lookup import find_visible, unknown
from shared import ids, live
from shared.domain import DiscoveryStatus
from shared.errors import InvalidValue, StaleRevision
from shared.store import catalogue, jobs, providers
from shared.store.access import Caller
from shared.store.catalogue import Verdict
from shared.store.providers import Provider
from shared.telemetry import Secret
from shared.upstream.endpoint import resolve

LAST4_FROM: Final = 16  # characters; of a shorter key four would give too much away
FINGERPRINT: Final = 8  # hex digits

Seen = tuple[Provider, Verdict | None]


@dataclass(frozen=True, slots=True)
class Filter:
    """Which providers a list shows; None lets everything pass."""

    tag: str | None = None
    status: DiscoveryStatus | None = None
    q: str | None = None

    def admits(self, provider: Provider, verdict: Verdict | None) -> bool:
        """Whether this provider is shown."""
        if self.tag is not None and self.tag not in provider.tags:
            return False
        if self.status is not None and documents.status(provider, verdict) is not self.status:
            return False
        texts = (provider.name, provider.slug, provider.endpoint)
        return self.q is None or any(self.q.casefold() in text.casefold() for text in texts)


class Providers:
    """Use cases of providers over the parts of one process."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._transactions = parts.transactions

    def create(self, body: Mapping[str, Any]) -> Provider:
        """The new provider, usable at once; raises InvalidValue or ProviderNameTaken."""
        endpoint = resolve(body["endpoint"])
        refused = self._parts.policy.refusal_of_literal(endpoint.host, endpoint.port)
        if refused is not None:
            raise InvalidValue(
                f"Expected an endpoint that may be called, got one where {refused}.",
                param="endpoint",
            )
        provider_id, now = ids.new(ids.PROVIDER), self._parts.now()
        slug = body.get("slug")
        fixed = {
            "id": provider_id,
            "name": body["name"],
            "endpoint": body["endpoint"].strip(),
            "chat_url": endpoint.chat_url,
            "models_url": endpoint.models_url,
            "host": endpoint.host,
            "port": endpoint.port,
            "description": body["description"],
            "tags": body["tags"],
            "visibility": body["visibility"],
            "options": body["options"],
            "max_concurrency": body["options"]["max_concurrency"],
            "enabled": body["enabled"],
            "revision": 1,
            "created_at": now,
            "updated_at": now,
            **self._key_columns(provider_id, body["api_key"], now),
        }

        def insert(tx: sa.Connection) -> Provider:
            batch_memo(tx).clear()
            chosen = slug or slugs.derive(body["name"], _Taken(tx))
            provider = Provider(slug=chosen, **fixed)
            providers.create(tx, provider)
            return provider

        created = self._transactions.write(insert)
        self._parts.relay.look_now()
        return created

    def _key_columns(self, provider_id: str, typed: str | None, now: float) -> dict[str, Any]:
        if typed is None:
            names = ("sealed", "last4", "fingerprint", "rotated_at")
            return dict.fromkeys((f"api_key_{name}" for name in names), None)
        key, sealer = Secret(typed), self._parts.sealer
        return {
            "api_key_sealed": sealer.seal(
                key.reveal().encode(), table="provider", row=provider_id, column="api_key_sealed"
            ),
            "api_key_last4": key.reveal()[-4:] if len(key.reveal()) >= LAST4_FROM else None,
            "api_key_fingerprint": sealer.fingerprint(key.reveal())[:FINGERPRINT],
            "api_key_rotated_at": now,
        }

    def get(self, reference: str, caller: Caller) -> Seen:
        """The provider with this id or slug; raises ProviderNotFound."""

        def find(tx: sa.Connection) -> Seen:
            provider = find_visible(tx, reference, caller)
            return provider, catalogue.verdicts(tx, [provider.id]).get(provider.id)

        return self._transactions.read(find)

    def list(self, shown: Filter, caller: Caller) -> Sequence[Seen]:
        """The providers that the caller may see and the filter admits."""

        def find(tx: sa.Connection) -> Sequence[Seen]:
            living = [
                provider
                for provider in providers.living(tx)
                if provider.visible_to(caller.owner, admin=caller.is_admin)
            ]
            verdicts = catalogue.verdicts(tx, [provider.id for provider in living])
            return [(provider, verdicts.get(provider.id)) for provider in living]

        return [seen for seen in self._transactions.read(find) if shown.admits(*seen)]

    def delete(self, reference: str, caller: Caller, *, may: Callable[[int], bool]) -> None:
        """Delete the record and end its queued jobs; the server is never contacted.

        Raises ProviderNotFound, or StaleRevision when `may` refuses the current revision.
        """
        now, retention = self._parts.now(), self._parts.retention

        def remove(tx: sa.Connection) -> Sequence[str]:
            batch_memo(tx).clear()
            provider = find_visible(tx, reference, caller)
            if not may(provider.revision):
                raise StaleRevision(
                    f"Expected If-Match to name revision {provider.revision}, got another one. "
                    "Read the provider again."
                )
            if providers.delete(tx, provider.id, at=now) is None:
                raise unknown(reference)
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
