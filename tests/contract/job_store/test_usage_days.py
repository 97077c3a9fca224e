"""Days that are over are added up once, hours since once an hour; every sum is what hours say."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import combinations
from typing import Any

import pytest
import sqlalchemy as sa

from shared.store import usage, usage_days
from shared.store.database import Database
from shared.store.schema import usage_day, usage_hour, usage_part
from shared.store.usage import HOUR, LATENCIES, Period
from shared.store.usage_days import DAY, PART_SETTLED, SETTLED_SECONDS

FIRST = 20_000 * DAY  # the first second of a day
DAYS = 5
KEYS = ("owner", "key_id", "provider_id", "model")
INDEXED = (), *combinations(KEYS, 1), ("owner", "key_id"), ("provider_id", "model")
GROUPS = (*INDEXED[:3], ("provider_id",), ("day", "model"), ("owner", "model"), ("day",), ("hour",))
BUSIEST = "prov_acme"
WHOLE = Period(FIRST, FIRST + DAYS * DAY)
TODAY = FIRST + 4 * DAY
PART = TODAY + 15 * HOUR  # until when the hours are added up
NOW = PART + PART_SETTLED  # when they are
AROUND = (
    (FIRST, FIRST + DAYS * DAY),
    (FIRST - 400 * DAY, NOW),
    (FIRST + 7 * HOUR, PART),  # ends with it
    (FIRST + 7 * HOUR, PART + HOUR),
    (FIRST + 7 * HOUR, PART - HOUR),  # ends in it
    (FIRST + 2 * DAY, PART + 2 * HOUR),  # begins with a day without any
    (TODAY, PART),
    (TODAY, NOW),
    (TODAY - 3 * HOUR, NOW),  # begins in the day before
    (TODAY + 3 * HOUR, NOW),  # begins in it
    (TODAY + 3 * HOUR, PART - 3 * HOUR),
    (PART - HOUR, PART),
    (PART, NOW),  # begins with its end
    (PART + HOUR, PART + 3 * HOUR),
    (FIRST + 0.5, PART - 0.5),
    (TODAY - 0.5, PART + 0.5),
    (FIRST, FIRST + 2 * DAY),
)


@pytest.fixture
def used(database: Database) -> Database:
    """Hours of five days, some days without any."""
    chance = random.Random(7)
    rows = []
    for hour in range(FIRST, FIRST + DAYS * DAY, HOUR):
        if hour // DAY - FIRST // DAY == 2:
            continue
        for owner in ("ann", "bob"):
            for model in ("acme/a", "acme/b", "bmod/a"):
                if chance.random() < 0.5:
                    rows.append(_row(hour, owner, model, chance))
    with database.write() as tx:
        tx.execute(sa.insert(usage_hour), rows)
    return database


def _row(hour: int, owner: str, model: str, chance: random.Random) -> dict[str, Any]:
    of = (hour, owner, f"key_{owner}_{chance.randint(1, 2)}", f"prov_{model[:4]}", model)
    keys = dict(zip(usage.KEYS, of, strict=True))
    return keys | {name: chance.randint(0, 9) for name in (*usage.COUNTS, *LATENCIES)}


def add_up(database: Database, now: float, times: int = 1) -> list[int]:
    """The days that are added up afterwards."""
    for _ in range(times):
        with database.write() as tx:
            usage_days.add_up(tx, now=now)
    with database.read() as tx:
        return sorted(set(tx.execute(sa.select(usage_day.c.day)).scalars()))


def renew(database: Database, now: float) -> list[int]:
    """The hours to which there are sums afterwards."""
    with database.write() as tx:
        usage_days.renew_part(tx, now=now)
    return parts(database)


def parts(database: Database) -> list[int]:
    with database.read() as tx:
        return sorted(set(tx.execute(sa.select(usage_part.c.until)).scalars()))


def write_late(database: Database, hour: int) -> None:
    """One request of somebody new."""
    row = _row(hour, "late", "acme/late", random.Random(1)) | {"requests": 1}
    with database.write() as tx:
        tx.execute(sa.insert(usage_hour), row)


def late(database: Database, period: Period = WHOLE) -> int:
    """How many requests are told of what was written late."""
    only = Period(period.since, period.until, "late")
    return sums(database, only, ())[0]["requests"]


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
        assert usage.busiest(tx, Period(FIRST, FIRST + DAYS * DAY), 1) == [BUSIEST]
        assert usage.totals(tx, Period(FIRST, FIRST + DAYS * DAY), ("hour",)) == []


@pytest.mark.parametrize("by", INDEXED)
def test_of_what_is_added_up_each_group_comes_as_one_row(
    used: Database, by: tuple[str, ...]
) -> None:
    add_up(used, NOW, DAYS)
    renew(used, NOW)
    with used.read() as tx:
        source = usage_days.source(tx, FIRST, PART, None, by=by)
        rows = tx.execute(sa.select(source.c.hour, *[source.c[name] for name in by])).all()
    assert len(rows) == len(set(rows)) >= DAYS - 1


def test_what_is_added_up_is_read_in_the_order_of_an_index(used: Database) -> None:
    """Rows of so many columns are not sorted for the sums of whole days."""
    if not used.is_sqlite:
        pytest.skip("PostgreSQL sums up by hashes")
    add_up(used, NOW, DAYS)
    renew(used, NOW)
    with used.read() as tx:
        for by in INDEXED:
            query = sa.select(usage_days.source(tx, FIRST, PART, None, by=by))
            literal = query.compile(tx.engine, compile_kwargs={"literal_binds": True})
            plan = [row.detail for row in tx.execute(sa.text(f"EXPLAIN QUERY PLAN {literal}"))]
            assert len(plan) > 1, "expected both days and hours"
            assert [step for step in plan if "TEMP B-TREE" in step] == [], by


def test_days_are_forgotten_with_their_hours(used: Database) -> None:
    add_up(used, FIRST + 400 * DAY, DAYS)
    kept = Period(FIRST + DAY, FIRST + DAYS * DAY)
    with as_before(used, kept), used.write() as tx:
        usage.purge(tx, now=FIRST + DAY + usage.KEPT_SECONDS)
    with used.read() as tx:
        assert tx.execute(sa.select(sa.func.min(usage_day.c.day))).scalar_one() == FIRST + DAY
        assert tx.execute(sa.select(sa.func.min(usage_hour.c.hour))).scalar_one() >= FIRST + DAY


@pytest.mark.parametrize("times", [0, 1, DAYS])
def test_every_sum_with_the_hours_of_today_added_up_is_what_the_hours_say(
    used: Database, times: int
) -> None:
    owners = None, "ann"
    periods = [Period(since, until, owner) for since, until in AROUND for owner in owners]
    with as_before(used, *periods):
        add_up(used, NOW, times)
        renew(used, NOW - HOUR)
        assert renew(used, NOW) == [PART - HOUR, PART]


@pytest.mark.parametrize("times", [0, 1, DAYS])
def test_a_day_that_is_added_up_later_is_not_counted_twice(used: Database, times: int) -> None:
    with as_before(used, WHOLE, Period(TODAY - DAY, PART), Period(TODAY, NOW)):
        add_up(used, NOW, times)
        renew(used, NOW)
        assert TODAY in add_up(used, FIRST + 400 * DAY, DAYS)


@pytest.mark.parametrize("times", [0, DAYS])
def test_sums_of_today_read_no_hours_that_are_added_up(used: Database, times: int) -> None:
    add_up(used, NOW, times)
    renew(used, NOW)
    before = [sums(used, Period(FIRST, NOW), by) for by in GROUPS[:-1]]
    of_today = sums(used, Period(TODAY, NOW), ("day",))
    with used.write() as tx:
        tx.execute(sa.delete(usage_hour).where(usage_hour.c.hour < PART))
    assert [sums(used, Period(FIRST, NOW), by) for by in GROUPS[:-1]] == before
    assert sums(used, Period(TODAY, NOW), ("day",)) == of_today
    assert sums(used, Period(FIRST, PART), ("hour",)) == []


def test_hours_are_added_up_once_an_hour_when_over_for_some_minutes(used: Database) -> None:
    assert renew(used, NOW - 1) == [PART - HOUR]
    assert renew(used, NOW) == [PART - HOUR, PART]
    write_late(used, PART - HOUR)
    for seconds in (0, 60, HOUR - 1, -DAY):  # of another worker's clock, too
        assert renew(used, NOW + seconds) == [PART - HOUR, PART]
    assert late(used) == 0, "the sums were made anew within the hour"
    assert renew(used, NOW + HOUR) == [PART, PART + HOUR]


def test_what_is_written_late_is_told_with_the_next_sums(used: Database) -> None:
    add_up(used, NOW, DAYS)
    renew(used, NOW)
    write_late(used, TODAY)
    assert late(used) == 0
    assert late(used, Period(TODAY + 1 - HOUR, TODAY + HOUR)) == 1  # reads the hours
    renew(used, NOW + HOUR)
    assert late(used) == 1


def test_what_is_written_late_is_told_once_its_day_is_added_up(used: Database) -> None:
    """Although its hours, when added up the last time, had none of it."""
    renew(used, NOW)
    write_late(used, TODAY)
    add_up(used, FIRST + 400 * DAY, DAYS)
    assert late(used) == late(used, Period(TODAY, PART)) == 1


def test_who_reads_while_sums_are_made_misses_and_repeats_nothing(used: Database) -> None:
    """A day and newer hours are added up behind the first statement of who reads."""
    add_up(used, NOW, 2)
    renew(used, NOW)
    expected = sums(used, WHOLE, ("day",))
    told: list[str] = []

    def meanwhile(_: object, __: object, statement: str, *___: object) -> None:
        told.append(statement)
        if len(told) == 1:
            assert add_up(used, NOW) == [FIRST, FIRST + DAY, FIRST + 3 * DAY]
            assert renew(used, NOW + HOUR) == [PART, PART + HOUR]

    with used.read() as tx:
        sa.event.listen(tx, "after_cursor_execute", meanwhile)
        found = usage.totals(tx, WHOLE, ("day",))
    assert len(told) > 1
    assert [{name: int(value) for name, value in row.items()} for row in found] == expected


def test_a_purge_adds_up_the_days_first_and_then_what_is_left(used: Database) -> None:
    """So that the hours of no more than the days that are not over are read at once."""
    done = []
    for _ in range(4):
        with used.write() as tx:
            more = usage.purge(tx, now=NOW)
        done.append((more, parts(used)))
    assert done == [(True, []), (True, []), (True, []), (False, [PART])]
    with used.read() as tx:
        assert set(tx.execute(sa.select(usage_part.c.day)).scalars()) == {TODAY}


def test_a_part_is_forgotten_with_its_hours(used: Database) -> None:
    """It stays where nothing was used since."""
    renew(used, NOW)
    with used.write() as tx:
        usage.purge(tx, now=FIRST + DAY + usage.KEPT_SECONDS)
        assert tx.execute(sa.select(sa.func.min(usage_part.c.day))).scalar_one() == FIRST + DAY
    with used.write() as tx:
        usage.purge(tx, now=FIRST + DAYS * DAY + usage.KEPT_SECONDS)
    assert parts(used) == []
    assert sums(used, WHOLE, ("owner",)) == []
