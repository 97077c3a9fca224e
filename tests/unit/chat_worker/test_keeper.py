"""How long the keeper rests, which no database is needed for."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, cast

from services.chat_worker.keeper import TURN_SECONDS, Keeper
from shared.store.jobs import Retention


@dataclass
class Calls:
    running: int
    free: int = 0


def test_while_calls_run_a_cancel_without_its_notice_is_looked_for_every_second() -> None:
    """Turns of up to 1.2 s and looks of every second turn closed connections after 2.2 s."""
    parts: Any = {"database": None, "sealer": None, "engine": Calls(running=1), "reporter": None}
    keeper = Keeper(
        **parts, lease_seconds=60.0, retention=cast(Retention, None), jitter=lambda: 1.0
    )
    keeper._rung = False
    began = time.monotonic()
    keeper._checked_at = began - 0.95 * TURN_SECONDS
    keeper._rest()
    assert time.monotonic() - began < 0.5 * TURN_SECONDS
