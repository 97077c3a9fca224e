"""Waits for rows: one read for all, quick at first, and a reminder for what was lost."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gevent
import pytest

from services.registry import watching
from services.registry.watching import Watch
from shared.errors import StoreUnavailable


class Rows:
    """Transactions over one dict; they count what is read, and may be away."""

    def __init__(self) -> None:
        self.rows: dict[str, int] = {}
        self.reads: list[set[str]] = []
        self.faults: list[Exception] = []

    def read(self, work: Any) -> Any:
        if self.faults:
            raise self.faults.pop()
        return work(self)


@pytest.fixture
def rows() -> Rows:
    return Rows()


@pytest.fixture
def reminded() -> list[str]:
    return []


@pytest.fixture
def watch(rows: Rows, reminded: list[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Watch[int]]:
    for name in ("QUICK_SECONDS", "SLOW_SECONDS"):
        monkeypatch.setattr(watching, name, 0.001)

    def look(tx: Any, ids: Any) -> dict[str, int]:
        rows.reads.append(set(ids))
        return {i: rows.rows[i] for i in ids if i in rows.rows}

    transactions: Any = rows
    made = Watch(transactions, look, reminded.append)
    yield made
    made.release()


def waits(watch: Watch[int], row_id: str, least: int, seconds: float = 5) -> gevent.Greenlet:
    spawned = gevent.spawn(watch.wait, row_id, lambda row: row is None or row >= least, seconds)
    gevent.sleep(0)
    return spawned


def turns(rows: Rows, count: int = 3) -> None:
    """Let the reader look so many times."""
    until = len(rows.reads) + count
    with gevent.Timeout(2):
        while len(rows.reads) < until:
            gevent.sleep(0.001)


def test_a_wait_ends_when_its_row_is_so_far(rows: Rows, watch: Watch[int]) -> None:
    rows.rows = {"a": 1, "b": 1}
    early, late, other = waits(watch, "a", 2), waits(watch, "a", 3), waits(watch, "b", 2)
    turns(rows)
    assert not early.ready()
    rows.rows["a"] = 2
    early.get(timeout=1)
    assert not late.ready()
    del rows.rows["b"]  # a row that is gone never gets further
    other.get(timeout=1)
    rows.rows["a"] = 3
    late.get(timeout=1)


def test_any_number_of_waits_share_one_read_and_nobody_means_none(
    rows: Rows, watch: Watch[int]
) -> None:
    rows.rows = {"a": 1, "b": 1}
    all_of_them = [waits(watch, "ab"[n % 2], 2) for n in range(100)]
    turns(rows)
    assert rows.reads[-1] == {"a", "b"}
    assert len(rows.reads) < 10
    rows.rows = {"a": 2, "b": 2}
    gevent.joinall(all_of_them, timeout=1)
    assert all(one.successful() for one in all_of_them)
    gevent.sleep(0.01)
    before = len(rows.reads)
    gevent.sleep(0.02)
    assert len(rows.reads) == before


def test_who_waits_for_long_is_looked_for_less_often_and_newcomers_at_once(
    rows: Rows, watch: Watch[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "QUICK_FOR", 0.0)
    monkeypatch.setattr(watching, "SLOW_SECONDS", 60.0)
    rows.rows = {"a": 1, "b": 2}
    patient = waits(watch, "a", 2)
    gevent.sleep(0.02)
    before = len(rows.reads)
    gevent.sleep(0.02)
    assert len(rows.reads) == before
    waits(watch, "b", 2).get(timeout=1)
    assert not patient.ready()


def test_the_time_of_a_wait_is_bounded(rows: Rows, watch: Watch[int]) -> None:
    rows.rows = {"a": 1}
    waits(watch, "a", 2, seconds=0.01).get(timeout=1)
    waits(watch, "a", 2, seconds=0).get(timeout=1)


def test_a_hint_is_repeated_every_five_seconds_once_for_all_who_wait(
    rows: Rows, watch: Watch[int], reminded: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert watching.REMIND_SECONDS == 5.0
    monkeypatch.setattr(watching, "REMIND_SECONDS", 0.05)
    rows.rows = {"a": 1, "b": 1}
    several = [waits(watch, "a", 2) for _ in range(5)]
    turns(rows)
    assert reminded == []  # the first hint is the asker's
    gevent.sleep(0.06)
    turns(rows)
    assert reminded == ["a"]
    rows.rows["a"] = 2
    gevent.joinall(several, timeout=1)
    waits(watch, "b", 1).get(timeout=1)
    gevent.sleep(0.06)
    assert reminded == ["a"]


def test_a_database_that_is_away_only_delays(rows: Rows, watch: Watch[int]) -> None:
    rows.rows = {"a": 2}
    rows.faults = [StoreUnavailable("away"), RuntimeError("a defect")]
    waits(watch, "a", 2).get(timeout=1)


def test_a_stop_ends_all_waits_and_lets_none_begin(rows: Rows, watch: Watch[int]) -> None:
    rows.rows = {"a": 1}
    waiting = waits(watch, "a", 2)
    watch.release()
    waiting.get(timeout=1)
    waits(watch, "a", 2).get(timeout=1)
