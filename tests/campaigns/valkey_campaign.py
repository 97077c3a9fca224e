"""Valkey full, stopped, restarted, wiped, flushed and frozen under load: promises 1 to 4 and 6."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tests.campaigns.checker import Finding
from tests.campaigns.faults import Say
from tests.campaigns.mixed_campaign import resumed
from tests.campaigns.outages import Outage, Outages
from tests.campaigns.stage import stage
from tests.valkey import OwnValkey

LONGEST: Final = 60.0  # seconds
PAUSE: Final = 10.0


def run(folder: Path, *, seconds: float, seed: int, say: Say) -> list[Finding]:
    """One outage after another for `seconds`, each kind once at least."""
    with stage(folder) as setting:
        outages = Outages(setting, seed, say)
        findings = outages.play(menu(setting.valkey), seconds=seconds, longest=LONGEST, pause=PAUSE)
        return [*findings, resumed(setting)]


def menu(valkey: OwnValkey) -> Sequence[Outage]:
    """What can become of a server of Valkey."""

    def wiped() -> None:
        valkey.stop()
        valkey.wipe()

    def started() -> None:
        valkey.start()

    return (
        Outage("valkey full", "valkey", valkey.fill, valkey.empty),
        Outage("valkey refusing writes", "valkey", valkey.refuse_writes, valkey.accept_writes),
        Outage("valkey killed", "valkey", valkey.stop, started),
        Outage("valkey stopped", "valkey", lambda: valkey.stop(signal.SIGTERM), started),
        Outage("valkey wiped", "valkey", wiped, started),
        Outage("valkey frozen", "valkey", valkey.freeze, valkey.thaw),
        Outage("valkey flushed", "", valkey.flush, valkey.flush, seconds=0.5),
    )
