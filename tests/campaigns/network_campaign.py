"""The network before PostgreSQL, Valkey and an upstream fails: promises 1 to 4, 6 and 7.

Every connection of theirs passes a proxy, which delays, drips, holds, loses, resets and refuses.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tests.campaigns.checker import Finding
from tests.campaigns.database_campaign import durable
from tests.campaigns.faults import Say
from tests.campaigns.outages import Away, Outage, Outages
from tests.campaigns.stage import Network, stage
from tests.faultproxy import FaultProxy, Way

LONGEST: Final = 10.0  # seconds
PAUSE: Final = 3.0
SHORT_BOUNDS: Final = {"connect_timeout": 2, "first_byte_timeout": 4, "idle_timeout": 4}
# What a job may end with whose call was lost on its way: it may have been billed.
LOST: Final = ("interrupted", "upstream_stream_broken", "upstream_timeout")


def run(folder: Path, *, seconds: float, seed: int, say: Say) -> list[Finding]:
    """One fault of a way after another for `seconds`, each kind once at least."""
    with (
        durable() as server,
        stage(folder, database=server.fresh_database(), options=SHORT_BOUNDS) as setting,
    ):
        assert setting.network is not None
        outages = Outages(setting, seed, say, tolerated=LOST)
        return outages.play(menu(setting.network), seconds=seconds, longest=LONGEST, pause=PAUSE)


def menu(network: Network) -> Sequence[Outage]:
    """What can become of each of the three ways."""
    ways: tuple[tuple[Away, FaultProxy], ...] = (
        ("database", network.database),
        ("valkey", network.valkey),
        ("upstream", network.upstream),
    )
    return [outage for name, proxy in ways for outage in _of(name, proxy)]


def _of(name: Away, proxy: FaultProxy) -> Sequence[Outage]:
    def switched(what: str, there: Way, back: Way, away: Away) -> Outage:
        def begin() -> None:
            proxy.switch(there=there, back=back)

        return Outage(f"{name} {what}", away, begin, proxy.heal)

    def mended() -> None:
        # What lost bytes is dead, and only its owner's patience would end it: 15 s and more.
        proxy.reset()
        proxy.heal()

    def black_hole() -> None:
        proxy.switch(there=Way(swallowed=True), back=Way(swallowed=True))

    def refused() -> None:
        proxy.refuse()
        proxy.reset()

    late, slow, held = Way(delay=0.05), Way(rate=20_000), Way(held=True)
    return (
        switched("late", late, late, ""),
        switched("dripping", slow, slow, ""),
        switched("partitioned", held, held, name),
        switched("silent", Way(), held, ""),  # what was asked is done, and nobody hears of it
        switched("cut in a message", Way(cut_after=700), Way(), ""),
        switched("cut in an answer", Way(), Way(cut_after=700), ""),
        Outage(f"{name} in a black hole", name, black_hole, mended),
        Outage(f"{name} reset once", "", proxy.reset, proxy.heal, seconds=0.1),
        Outage(f"{name} resetting", name, lambda: proxy.reset(new=True), proxy.heal),
        Outage(f"{name} refusing", name, refused, proxy.heal),
        Outage(f"{name} forgotten", "", proxy.forget_server, mended, seconds=0.5),
        Outage(f"{name} forgetting", "", proxy.forget_client, proxy.heal, seconds=0.5),
    )
