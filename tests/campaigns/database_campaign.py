"""PostgreSQL frozen, crashed, restarted and read-only under load: promises 1 to 4 and 7."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.campaigns.checker import Finding
from tests.campaigns.faults import Say
from tests.campaigns.outages import Outage, Outages
from tests.campaigns.stage import stage
from tests.postgres import PostgresServer

LONGEST: Final = 40.0  # seconds
PAUSE: Final = 10.0


def run(folder: Path, *, seconds: float, seed: int, say: Say) -> list[Finding]:
    """One outage after another for `seconds`, each kind once at least."""
    with durable() as server, stage(folder, database=server.fresh_database()) as setting:
        outages = Outages(setting, seed, say)
        return outages.play(menu(server), seconds=seconds, longest=LONGEST, pause=PAUSE)


@contextmanager
def durable() -> Iterator[PostgresServer]:
    """A cluster that forgets no commit in a crash, unlike that of the other tests."""
    server = PostgresServer(durable=True)
    try:
        server.create()
        yield server
    finally:
        server.remove()


def menu(server: PostgresServer) -> Sequence[Outage]:
    """What can become of a server of PostgreSQL."""
    return (
        Outage("database frozen", "database", server.freeze, server.thaw),
        Outage("database crashed", "database", lambda: server.stop(signal.SIGQUIT), server.start),
        Outage("database stopped", "database", lambda: server.stop(signal.SIGINT), server.start),
        Outage(
            "database read-only",
            "database",
            lambda: server.read_only(on=True),
            lambda: server.read_only(on=False),
        ),
    )
