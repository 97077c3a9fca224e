"""How long the keeper rests, which no database is needed for."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, cast

from services.chat_worker.keeper import TURN_SECONDS, Keeper
from shared.store.jobs import Retention


@dataclass
class Calls:
    running: int = 0
    free: int = 0


class Bell:
    """Counts how often the bell was let go."""

    def __init__(self) -> None:
        self.let_go = 0

    def resting(self) -> None:
        self.let_go += 1


def keeper_with(calls: Calls, bell: Bell | None = None) -> Keeper:
    parts: Any = {"database": None, "sealer": None, "engine": calls, "reporter": bell}
    retention = cast(Retention, None)
    return Keeper(**parts, lease_seconds=0.04, retention=retention, jitter=lambda: 1.0)


def test_a_keeper_that_rests_lets_the_bell_go_once() -> None:
    bell = Bell()
    keeper = keeper_with(Calls(), bell)
    keeper.ring(bell=True)
    keeper._rung = False  # as a turn has it
    keeper._rest()
    keeper._rest()
    assert bell.let_go == 1


def test_a_keeper_with_more_to_do_keeps_the_bell() -> None:
    bell = Bell()
    keeper = keeper_with(Calls(free=1), bell)
    keeper.ring(bell=True)
    keeper._rest()  # there may be work, and there is a place: no rest at all
    assert bell.let_go == 0


def test_without_the_bell_there_is_none_to_let_go() -> None:
    bell = Bell()
    keeper = keeper_with(Calls(), bell)
    keeper.ring()
    keeper._rung = False
    keeper._rest()
    assert bell.let_go == 0


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
