"""The discovery store as one worker and a registry use it, at a time that the test sets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
import sqlalchemy as sa

from shared.domain import DiscoveryStatus
from shared.store import catalogue, discovery
from shared.store.catalogue import CatalogueModel, Verdict
from shared.store.database import Database
from shared.store.discovery import Claim, Entry, Finding
from shared.store.schema import discovery as discovery_table
from shared.store.schema import event, model
from tests.registered import NOW, Registered

INTERVAL = 300.0


@dataclass
class Store:
    """Short words for what a worker does."""

    database: Database
    registry: Registered = field(init=False)
    now: float = NOW

    def __post_init__(self) -> None:
        self.registry = Registered.on(self.database)

    def candidates(self, *asked: str) -> list[str]:
        with self.database.read() as tx:
            found = discovery.candidates(tx, now=self.now, asked=asked)
        return [one.provider_id for one in found]

    def urgent(self) -> dict[str, bool]:
        with self.database.read() as tx:
            found = discovery.candidates(tx, now=self.now, asked=())
        return {one.provider_id: one.urgent for one in found}

    def claim(self, *ids: str, asked: Sequence[str] = ()) -> list[Claim]:
        with self.database.write() as tx:
            return list(discovery.claim(tx, ids, now=self.now, asked=asked))

    def record(self, claim: Claim, finding: Finding) -> bool:
        with self.database.write() as tx:
            return discovery.record(tx, claim, finding, now=self.now)

    def check(self, provider_id: str, *listed: str | Entry, **changes: Any) -> bool:
        """One whole check that finds this list."""
        (claim,) = self.claim(provider_id, asked=[provider_id])
        return self.record(claim, self.found(*listed, **changes))

    def found(self, *listed: str | Entry, **changes: Any) -> Finding:
        entries = [e if isinstance(e, Entry) else Entry(e, raw={"id": e}) for e in listed]
        return finding(self.now, listed=entries, **changes)

    def check_with(self, claim: Claim, **changes: Any) -> bool:
        """The end of a claimed check that found this."""
        return self.record(claim, finding(self.now, **changes))

    def settle(self) -> None:
        with self.database.write() as tx:
            discovery.settle(tx, now=self.now)

    def unsettled(self) -> bool:
        with self.database.read() as tx:
            return discovery.unsettled(tx)

    def note_chat(
        self, provider_id: str, *, key_works: bool = True, revision: int | None = 1
    ) -> discovery.Standing | None:
        with self.database.write() as tx:
            return discovery.note_chat(
                tx, provider_id, revision=revision, key_works=key_works, now=self.now
            )

    def verdict(self, provider_id: str) -> Verdict | None:
        with self.database.read() as tx:
            return catalogue.verdicts(tx, [provider_id]).get(provider_id)

    def row(self, provider_id: str) -> Any:
        with self.database.read() as tx:
            query = sa.select(discovery_table).where(discovery_table.c.provider_id == provider_id)
            return tx.execute(query).first()

    def models(self, provider_id: str) -> list[CatalogueModel]:
        with self.database.read() as tx:
            return list(catalogue.models(tx, [provider_id]))

    def count_rows(self, provider_id: str) -> int:
        """How many models are stored, those that are gone included."""
        with self.database.read() as tx:
            query = sa.select(sa.func.count()).where(model.c.provider_id == provider_id)
            return int(tx.execute(query.select_from(model)).scalar_one())

    def choose(self, claim: Claim, *manual: str, allows: str = "") -> None:
        """Apply what the options say: ids listed by hand, and the beginning of allowed ones."""
        with self.database.write() as tx:
            discovery.choose(
                tx, claim, manual=manual, allows=lambda id_: id_.startswith(allows), now=self.now
            )

    def ids(self, provider_id: str) -> list[str]:
        return [one.upstream_id for one in self.models(provider_id)]

    def model_row(self, provider_id: str, upstream_id: str) -> Any:
        with self.database.read() as tx:
            return tx.execute(
                sa.select(model).where(
                    model.c.provider_id == provider_id, model.c.upstream_id == upstream_id
                )
            ).one()

    def events(self, provider_id: str) -> list[tuple[str, int]]:
        """The types and revisions of the events that discovery appended, in order."""
        ours = ("provider.status_changed", "models.changed")
        with self.database.read() as tx:
            rows = tx.execute(
                sa.select(event.c.type, event.c.revision)
                .where(event.c.subject == provider_id, event.c.type.in_(ours))
                .order_by(event.c.seq)
            )
            return [(row.type, row.revision) for row in rows]

    def details(self, provider_id: str) -> list[Any]:
        """What those events tell, in order."""
        ours = ("provider.status_changed", "models.changed")
        with self.database.read() as tx:
            query = sa.select(event.c.detail).where(
                event.c.subject == provider_id, event.c.type.in_(ours)
            )
            return list(tx.execute(query.order_by(event.c.seq)).scalars())


def finding(now: float, **changes: Any) -> Finding:
    """What a check found."""
    allows: Callable[[str], bool] = lambda _id: True  # noqa: E731
    values: dict[str, Any] = {
        "status": DiscoveryStatus.OK,
        "error_sealed": None,
        "failures": 0,
        "empty_lists": 0,
        "next_check_at": now + INTERVAL,
        "listed": None,
        "manual": (),
        "allows": allows,
        "key_proven": None,
    }
    return Finding(**values | changes)


@pytest.fixture
def store(database: Database) -> Store:
    """A store without providers."""
    return Store(database)
