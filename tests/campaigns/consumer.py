"""Follows the events as the discovery worker does, and keeps a view of the providers."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass

import sqlalchemy as sa

from services.discovery_worker.follower import BLOCK_SECONDS, Follower
from shared.config import Settings
from shared.domain import EventType
from shared.queues import blocking_redis
from shared.store import events
from shared.store.database import UNAVAILABLE, Database
from shared.store.schema import provider


@dataclass(frozen=True, slots=True)
class Heard:
    """One event as it came through the stream."""

    seq: int
    fields: Mapping[str, str]


class Consumer:
    """Follows from `start` to `stop`. `view` is id → revision of every provider that it knows of.

    `known` is the number of the newest event that it has heard or read past.
    """

    def __init__(self, settings: Settings, database: Database) -> None:
        self.view: dict[str, int] = {}
        self.known = 0
        self.heard: list[Heard] = []
        self.rereads = 0
        self.disorder: list[str] = []
        self._deleted: set[str] = set()
        self._database = database
        self._lock = threading.Lock()
        self._client = blocking_redis(settings, block_seconds=BLOCK_SECONDS)
        self._follower = Follower(
            self._client,
            reread=self._reread,
            on_event=self._on_event,
            unavailable=UNAVAILABLE,
        )

    def start(self) -> None:
        self._follower.start()

    def stop(self) -> None:
        self._follower.stop()
        self._client.close()

    def snapshot(self) -> tuple[int, dict[str, int]]:
        """`known`, and the view at that moment."""
        with self._lock:
            return self.known, dict(self.view)

    def _reread(self) -> int:
        # The number first: what is read after it holds at least all that was numbered so far.
        with self._database.read() as tx:
            seq = events.last_seq(tx)
        with self._database.read() as tx:
            query = sa.select(provider.c.id, provider.c.revision)
            rows = tx.execute(query.where(provider.c.deleted_at.is_(None)))
            living = {row.id: row.revision for row in rows}
        with self._lock:
            self.rereads += 1
            self._deleted |= self.view.keys() - living.keys()
            self.view = living
            self._move_to(seq)
        return seq

    def _on_event(self, fields: Mapping[str, str]) -> None:
        seq, id_, revision = int(fields["seq"]), fields["subject"], int(fields["revision"])
        with self._lock:
            self.heard.append(Heard(seq, dict(fields)))
            if fields["type"] == EventType.PROVIDER_DELETED:
                self.view.pop(id_, None)
                self._deleted.add(id_)
            elif id_ not in self._deleted:
                # What was read may be newer than this event.
                self.view[id_] = max(revision, self.view.get(id_, 0))
            self._move_to(seq)

    def _move_to(self, seq: int) -> None:
        if seq < self.known:
            self.disorder.append(f"event {seq} came after event {self.known}")
        self.known = seq
