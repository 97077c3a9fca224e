"""The watchdog ends a stuck process, and only a stuck one."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.chat_worker.watchdog import Watchdog
from shared.store.database import Database


class Turning:
    """A loop whose turns the test counts."""

    turns = 0


def watch(database: Database, loop: Turning, ended: list[float]) -> Watchdog:
    return Watchdog(
        loops={"keeper": lambda: loop.turns},
        database=database,
        grace_seconds=30.0,
        end=ended.append,
        ticks_allowed=3,
    )


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return Database(f"sqlite:///{tmp_path / 'db'}")


def test_a_loop_that_turns_is_left_alone(database: Database) -> None:
    loop, ended = Turning(), list[float]()
    watchdog = watch(database, loop, ended)
    for _ in range(10):
        loop.turns += 1
        assert watchdog.tick()
    database.dispose()
    assert ended == []


def test_a_loop_without_a_turn_ends_the_process_after_its_ticks(database: Database) -> None:
    loop, ended = Turning(), list[float]()
    watchdog = watch(database, loop, ended)
    assert [watchdog.tick() for _ in range(3)] == [True, True, False]
    database.dispose()
    assert ended == [30.0]


def test_a_database_that_does_not_answer_is_a_reason_to_wait(tmp_path: Path) -> None:
    away = Database(f"sqlite:///{tmp_path / 'no such folder' / 'db'}")
    ended: list[float] = []
    watchdog = watch(away, Turning(), ended)
    assert all(watchdog.tick() for _ in range(5))
    away.dispose()
    assert ended == []
