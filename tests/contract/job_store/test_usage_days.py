"""Days that are over are added up once, and every sum stays what the hours say."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import sqlalchemy as sa

from shared.store import usage, usage_days
from shared.store.database import Database
from shared.store.schema import usage_day, usage_hour
from shared.store.usage import HOUR, LATENCIES, Period
from shared.store.usage_days import DAY, SETTLED_SECONDS

FIRST = 20_000 * DAY  # the first second of a day
DAYS = 5
GROUPS = (), ("day",), ("owner",), ("provider_id", "model"), ("day", "provider_id"), ("hour",)


@pytest.fixture
def used(database: Database) -> Database:
    """Hours of five days, some days without any."""
    chance = random.Random(7)
    rows = []
    for hour in range(FIRST, FIRST + DAYS * DAY, HOUR):
        if hour // DAY - FIRST // DAY == 2:
            continue
        for owner in ("ann", "bob"):
            for model in ("acme/a", "acme/b"):
                if chance.random() < 0.5:
                    rows.append(_row(hour, owner, model, chance))
    with database.write() as tx:
        tx.execute(sa.insert(usage_hour), rows)
    return database


def _row(hour: int, owner: str, model: str, chance: random.Random) -> dict[str, Any]:
    keys = dict(zip(usage.KEYS, (hour, owner, f"key_{owner}", "prov_1", model), strict=True))
    return keys | {name: chance.randint(0, 9) for name in (*usage.COUNTS, *LATENCIES)}


def add_up(database: Database, now: float, times: int = 1) -> list[int]:
    """The days that are added up afterwards."""
    for _ in range(times):
        with database.write() as tx:
            usage_days.add_up(tx, now=now)
    with database.read() as tx:
        return sorted(set(tx.execute(sa.select(usage_day.c.day)).scalars()))


def sums(database: Database, period: Period, by: tuple[str, ...]) -> list[dict[str, int]]:
    with database.read() as tx:
        found = usage.totals(tx, period, by)
    return [{name: _plain(value) for name, value in row.items()} for row in found]


def _plain(value: Any) -> Any:
    return value if isinstance(value, str) else int(value)


@contextmanager
def as_before(database: Database, *periods: Period) -> Iterator[None]:
    """What the block does changes no sum of these periods."""
    before = {(period, by): sums(database, period, by) for period in periods for by in GROUPS}
    yield
    for (period, by), expected in before.items():
        assert sums(database, period, by) == expected, (period, by)


def test_a_day_that_is_over_for_hours_is_added_up_one_each_time(used: Database) -> None:
    over = FIRST + DAY + SETTLED_SECONDS
    assert add_up(used, over - 1) == []
    assert add_up(used, over) == [FIRST]
    assert add_up(used, over) == [FIRST]
    assert add_up(used, FIRST + 400 * DAY) == [FIRST, FIRST + DAY]
    assert add_up(used, FIRST + 400 * DAY) == [FIRST, FIRST + DAY, FIRST + 3 * DAY]


@pytest.mark.parametrize("times", [1, 2, DAYS])
def test_every_sum_is_what_the_hours_say(used: Database, times: int) -> None:
    whole = Period(FIRST, FIRST + DAYS * DAY)
    middle = Period(FIRST + 7 * HOUR, FIRST + 3 * DAY + 5 * HOUR, "ann")
    short = Period(FIRST + DAY + 3 * HOUR, FIRST + DAY + 9 * HOUR)
    fractions = Period(FIRST + 0.5, FIRST + 2 * DAY + 0.5)
    with as_before(used, whole, middle, short, fractions):
        add_up(used, FIRST + 400 * DAY, times)


def test_sums_of_days_read_no_hours_of_them(used: Database) -> None:
    add_up(used, FIRST + 400 * DAY, DAYS)
    with used.write() as tx:
        tx.execute(sa.delete(usage_hour))
        (row,) = usage.totals(tx, Period(FIRST, FIRST + DAYS * DAY), ())
        assert row["requests"] > 0
        assert usage.busiest(tx, Period(FIRST, FIRST + DAYS * DAY), 1) == ["prov_1"]
        assert usage.totals(tx, Period(FIRST, FIRST + DAYS * DAY), ("hour",)) == []


def test_days_are_forgotten_with_their_hours(used: Database) -> None:
    add_up(used, FIRST + 400 * DAY, DAYS)
    kept = Period(FIRST + DAY, FIRST + DAYS * DAY)
    with as_before(used, kept), used.write() as tx:
        usage.purge(tx, now=FIRST + DAY + usage.KEPT_SECONDS)
    with used.read() as tx:
        assert tx.execute(sa.select(sa.func.min(usage_day.c.day))).scalar_one() == FIRST + DAY
        assert tx.execute(sa.select(sa.func.min(usage_hour.c.hour))).scalar_one() >= FIRST + DAY
