"""Events are deleted after 400 days, oldest first and without a gap."""

from __future__ import annotations

import asyncio

from services.discovery_worker.ledger import Ledger
from shared.domain import EventType
from shared.store import events
from shared.store.database import Database
from shared.store.events import KEPT_SECONDS
from tests.registered import NOW


def append(database: Database, *moments: float) -> list[int]:
    """Events of these moments; their numbers."""
    with database.write() as tx:
        return [
            events.append(tx, EventType.MODELS_CHANGED, subject="prov_1", revision=1, at=at).seq
            for at in moments
        ]


def kept(database: Database) -> list[int]:
    with database.read() as tx:
        found = [one.seq for one in events.after(tx, 0, limit=100)]
        assert events.first_seq(tx) == (found[0] if found else events.last_seq(tx) + 1)
        return found


def look(database: Database, now: float) -> None:
    asyncio.run(Ledger(database).claim_checks(now=now, limit=0))


def test_the_worker_deletes_what_is_too_old_and_nothing_behind_a_younger_one(
    database: Database,
) -> None:
    # The third is younger than the fourth: a clock was set back between them.
    numbers = append(database, NOW, NOW + 1, NOW + 100, NOW + 2, NOW + 200)
    look(database, NOW + KEPT_SECONDS)
    assert kept(database) == numbers
    look(database, NOW + KEPT_SECONDS + 50)
    assert kept(database) == numbers[2:]
    look(database, NOW + KEPT_SECONDS + 1000)
    assert kept(database) == []
    assert append(database, NOW) == [numbers[-1] + 1]
