"""A relay and a follower, turned by hand on a real Valkey: nothing here waits for a clock."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import redis
import sqlalchemy as sa

from services.discovery_worker.follower import Follower
from services.registry.database import Transactions
from services.registry.relay import Relay
from shared.live import STREAM
from shared.store import events
from shared.store.database import UNAVAILABLE, Database
from tests.integration.discovery.conftest import Stage


@dataclass
class Plain:
    """The registry's transactions without greenlets."""

    database: Database

    def read(self, work: Callable[[sa.Connection], Any]) -> Any:
        with self.database.read() as tx:
            return work(tx)

    glance = read

    def write(self, work: Callable[[sa.Connection], Any]) -> Any:
        with self.database.write() as tx:
            return work(tx)


@dataclass
class Scene:
    stage: Stage
    client: redis.Redis
    now: float = 1000.0
    rereads: int = 0
    heard: list[Mapping[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.relay = self.another_relay("first")
        self.follower = Follower(
            self.client,
            reread=self._reread,
            on_event=self.heard.append,
            unavailable=UNAVAILABLE,
            clock=lambda: self.now,
            block_seconds=0.05,
        )

    def another_relay(self, holder: str) -> Relay:
        """One of a further registry."""
        transactions = cast(Transactions, Plain(self.stage.database))
        return Relay(transactions, self.client, holder=holder, monotonic=lambda: self.now)

    def entries(self) -> list[tuple[str, str]]:
        """Number and subject of all that is in the stream, as its id and fields say."""
        entries: Any = self.client.xrange(STREAM)
        return [(entry_id, fields["subject"]) for entry_id, fields in entries]

    def _reread(self) -> int:
        self.rereads += 1
        with self.stage.database.read() as tx:
            return events.last_seq(tx)

    def turn(self, *, later: float = 0.0) -> None:
        """The relay publishes what is new, then the follower reads it."""
        self.now += later
        self.relay.turn()
        self.follower.turn()

    @property
    def subjects(self) -> list[tuple[str, str]]:
        return [(fields["type"].rpartition(".")[2], fields["subject"]) for fields in self.heard]
