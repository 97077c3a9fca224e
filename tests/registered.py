"""Providers as the registry writes them, for tests of what others do with them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from shared import ids
from shared.crypto import Sealer
from shared.domain import EventType
from shared.keyring import Keyring
from shared.store import events, providers
from shared.store.database import Database
from shared.store.schema import provider
from shared.upstream.endpoint import resolve

NOW = 1_795_000_000.0


@dataclass
class Registered:
    """A registry's pen: each change raises the revision and appends its event.

    `news` is called after each, as the relay would tell.
    """

    database: Database
    sealer: Sealer
    now: float = NOW
    news: Callable[[], None] = lambda: None

    @classmethod
    def on(cls, database: Database) -> Registered:
        """One with a keyring of its own."""
        return cls(database, Sealer(Keyring.generate()))

    def add(self, slug: str, endpoint: str = "", *, key: str | None = None, **options: Any) -> str:
        """Register; the id."""
        id_ = ids.new(ids.PROVIDER)
        where = resolve(endpoint or f"http://{slug}.test:8000")
        new = providers.Provider(
            id=id_,
            name=slug,
            slug=slug,
            endpoint=endpoint,
            chat_url=where.chat_url,
            models_url=where.models_url,
            host=where.host,
            port=where.port,
            api_key_sealed=self._sealed(id_, key),
            api_key_last4=None,
            api_key_fingerprint=None,
            api_key_rotated_at=self.now if key else None,
            description="",
            tags=[],
            visibility="everyone",
            options=options,
            max_concurrency=None,
            enabled=True,
            revision=1,
            created_at=self.now,
            updated_at=self.now,
        )
        with self.database.write() as tx:
            providers.create(tx, new)
        self.news()
        return id_

    def change(self, provider_id: str, **options: Any) -> None:
        """Replace its options."""
        self._write(provider_id, EventType.PROVIDER_CHANGED, options=options)

    def move(self, provider_id: str, endpoint: str) -> None:
        """Give it another endpoint."""
        where = resolve(endpoint)
        self._write(
            provider_id,
            EventType.PROVIDER_CHANGED,
            chat_url=where.chat_url,
            models_url=where.models_url,
            host=where.host,
            port=where.port,
        )

    def rotate(self, provider_id: str, key: str | None) -> None:
        """Give it another key, or none."""
        self._write(
            provider_id,
            EventType.PROVIDER_KEY_ROTATED,
            api_key_sealed=self._sealed(provider_id, key),
            api_key_rotated_at=self.now,
        )

    def enable(self, provider_id: str, enabled: bool) -> None:
        """Enable or disable it."""
        fact = EventType.PROVIDER_ENABLED if enabled else EventType.PROVIDER_DISABLED
        self._write(provider_id, fact, enabled=enabled)

    def refresh(self, provider_id: str) -> int:
        """Ask for a refresh; its number."""
        with self.database.write() as tx:
            number: int = tx.execute(
                sa.update(provider)
                .where(provider.c.id == provider_id)
                .values(refresh_asked=provider.c.refresh_asked + 1)
                .returning(provider.c.refresh_asked)
            ).scalar_one()
        self.news()
        return number

    def delete(self, provider_id: str) -> None:
        """Delete it."""
        with self.database.write() as tx:
            assert providers.delete(tx, provider_id, at=self.now)
        self.news()

    def _write(self, provider_id: str, fact: EventType, **values: Any) -> None:
        with self.database.write() as tx:
            revision = tx.execute(
                sa.update(provider)
                .where(provider.c.id == provider_id)
                .values(**values, revision=provider.c.revision + 1, updated_at=self.now)
                .returning(provider.c.revision)
            ).scalar_one()
            events.append(tx, fact, subject=provider_id, revision=revision, at=self.now)
        self.news()

    def _sealed(self, provider_id: str, key: str | None) -> str | None:
        if key is None:
            return None
        return self.sealer.seal(
            key.encode(), table="provider", row=provider_id, column="api_key_sealed"
        )
