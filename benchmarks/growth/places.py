"""A running system over a database that holds many finished jobs."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from shared import ids
from shared.config import Settings, load
from shared.crypto import load_sealer
from shared.store import access, jobs, providers, usage
from shared.store.database import Database
from shared.store.migrate import migrate
from shared.store.providers import Provider
from shared.telemetry import Secret
from tests.api import Api
from tests.bulk import Bulk, Kind, fill, fill_keys, fill_queue, fill_trails
from tests.bulk.rows import Seal
from tests.simulators import Remote
from tests.system import System

OWNERS: Final = tuple(f"team-{number}" for number in range(8))
PROVIDERS: Final = 20
FEW: Final = 1_000  # finished jobs, where the queue is what grows
WORKER: Final = "chat-worker"
TRAIL: Final = 100  # finished jobs for each event, and for each entry of the audit trail


@dataclass(frozen=True, slots=True)
class Place:
    """A system; `some` are ids of its finished jobs, oldest first.

    `size` is what differs from place to place. `member` calls with a key of the owner who has the
    most jobs.
    """

    size: int
    system: System
    database: Database
    member: Api
    kinds: Sequence[Kind]
    some: Sequence[str]
    seal: Seal
    seeded_seconds: float

    @property
    def middle(self) -> str:
        """A finished job, as callers name it, with half of them before it."""
        return ids.COMPLETION + self.some[len(self.some) // 2]

    @property
    def model(self) -> str:
        """The model that is asked most."""
        return self.kinds[0].models[0]


@contextmanager
def place(
    folder: Path, size: int, upstream: Remote, url: str | None, *, queued: bool = False
) -> Iterator[Place]:
    """Seed a new database, and run a system on it; `url` None is the SQLite of its data.

    `size` is the number of finished jobs; with `queued` of those that wait, beside a few others,
    while the chat worker is stopped.
    """
    data_dir = folder / f"size-{size}"
    env = {"DRAGOMAN_QUEUE_LIMIT": str(10 * size)} if queued else {}
    env |= {} if url is None else {"DATABASE_URL": url}
    loaded = load({**env, "DRAGOMAN_DATA_DIR": str(data_dir)})
    migrate(loaded)
    database = Database(loaded.database_url)
    began = time.perf_counter()
    bulk, some = seed(database, loaded, FEW if queued else size, upstream)
    secret = _member(database, bulk.owners[0])
    took = time.perf_counter() - began
    try:
        with (
            System(data_dir, env=env) as system,
            Api(system.url, secret.reveal()) as member,
        ):
            here = Place(size, system, database, member, bulk.kinds, some, seal_of(loaded), took)
            if not queued:
                yield here
                return
            with system.suspended_between_writes(WORKER):
                fill_queue(database, bulk, size, here.seal)
                yield here
    finally:
        database.dispose()


def seed(
    database: Database, settings: Settings, finished: int, upstream: Remote
) -> tuple[Bulk, Sequence[str]]:
    """Fill an empty database with finished jobs; what was made, and a hundredth of the ids."""
    kinds = [_provider(database, number, upstream) for number in range(PROVIDERS)]
    bulk = Bulk(finished, time.time(), OWNERS, kinds)

    some = fill(database, bulk, seal_of(settings))
    fill_keys(database, bulk)
    fill_trails(database, bulk, max(finished // TRAIL, 10))
    _add_up(database)
    return bulk, some


def _add_up(database: Database) -> None:
    """The totals of each day, which the chat worker would have made when it was over."""
    more = True
    while more:
        with database.write() as tx:
            more = usage.purge(tx, now=time.time())


def seal_of(settings: Settings) -> Seal:
    """How this installation seals what is in a row of the job table."""
    sealer = load_sealer(settings)

    def seal(plain: bytes, row: str, column: str) -> str:
        return sealer.seal(plain, table=jobs.TABLE, row=row, column=column)

    return seal


def _member(database: Database, owner: str) -> Secret:
    secret = access.new_secret()
    with database.write() as tx:
        role = access.Role.MEMBER
        access.add_key(tx, secret, name="bench", owner=owner, role=role, now=time.time())
    return secret


def _provider(database: Database, number: int, upstream: Remote) -> Kind:
    slug, now = f"bench-{number}", time.time()
    new = Provider(
        id=ids.new(ids.PROVIDER),
        name=slug,
        slug=slug,
        endpoint=upstream.url,
        chat_url=f"{upstream.url}/v1/chat/completions",
        models_url=f"{upstream.url}/v1/models",
        host="127.0.0.1",
        port=int(upstream.url.rpartition(":")[2]),
        api_key_sealed=None,
        api_key_last4=None,
        api_key_fingerprint=None,
        api_key_rotated_at=None,
        description="",
        tags=[],
        visibility="everyone",
        options={},
        max_concurrency=1_000,
        enabled=True,
        revision=1,
        created_at=now,
        updated_at=now,
    )
    with database.write() as tx:
        providers.create(tx, new)
    return Kind(new.id, (f"{slug}/sim-model", f"{slug}/other-model"))
