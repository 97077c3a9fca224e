"""Clocks that jump by an hour, of one worker, of a machine, of the database, of all: promise 20."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.campaigns.checker import Finding
from tests.campaigns.faults import Say
from tests.campaigns.outages import Outage, Outages
from tests.campaigns.stage import Stage, stage
from tests.clocks import Clock
from tests.postgres import PostgresServer

HOUR: Final = 3600.0
# A deadline is a time of day: who is told that it has passed must believe it.
JUMPED: Final = ("deadline_exceeded",)
LONGEST: Final = 20.0  # seconds
PAUSE: Final = 5.0


@dataclass(frozen=True, slots=True)
class Clocks:
    """Those of three machines: the database, all of `up`, the second worker."""

    database: Clock
    first: Clock
    second: Clock


@dataclass(frozen=True, slots=True)
class Machines:
    """A stage on PostgreSQL, whose clocks can be set."""

    setting: Stage
    server: PostgresServer
    clocks: Clocks


def run(folder: Path, *, seconds: float, seed: int, say: Say) -> list[Finding]:
    """One jump and back after another for `seconds`, each kind once at least."""
    with machines(folder) as scene:
        outages = Outages(scene.setting, seed, say, JUMPED)
        return outages.play(menu(scene.clocks), seconds=seconds, longest=LONGEST, pause=PAUSE)


@contextmanager
def machines(
    folder: Path,
    *,
    durable: bool = False,
    second_worker: bool = True,
    options: Mapping[str, Any] | None = None,
) -> Iterator[Machines]:
    """A stage on PostgreSQL with a clock for each machine; raises NoFakeTime."""
    # Not in `folder`, which only root may enter: PostgreSQL has a user of its own.
    with tempfile.TemporaryDirectory(prefix="dragoman-clocks-") as name:
        Path(name).chmod(0o755)
        clocks = Clocks(*(Clock(Path(name, who)) for who in ("database", "first", "second")))
        server = PostgresServer(durable=durable, env=clocks.database.env)
        try:
            server.create()
            with stage(
                folder,
                env=clocks.first.env,
                second_worker=second_worker,
                second_env=clocks.second.env,
                database=server.fresh_database(),
                options=options,
            ) as setting:
                yield Machines(setting, server, clocks)
        finally:
            server.remove()


def menu(clocks: Clocks) -> Sequence[Outage]:
    """Which clocks jump, and where to."""
    every = (clocks.database, clocks.first, clocks.second)
    who: dict[str, Sequence[Clock]] = {
        "the second worker": (clocks.second,),
        "a machine": (clocks.first,),
        "the database": (clocks.database,),
        "everybody": every,
    }
    return [
        Outage(f"{name} an hour {word}", "", _set(chosen, seconds), _set(chosen, 0))
        for name, chosen in who.items()
        for word, seconds in (("ahead", HOUR), ("behind", -HOUR))
    ]


def _set(clocks: Sequence[Clock], seconds: float) -> Callable[[], None]:
    def jump() -> None:
        for clock in clocks:
            clock.set(seconds)

    return jump
