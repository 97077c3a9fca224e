"""An error of the keeper's other duties ends no claim; what holds it up is called what it is."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

import pytest
import sqlalchemy as sa

from services.chat_worker.keeper import Keeper
from services.chat_worker.outage import Outage
from shared.domain import JobState
from shared.store.database import Database
from shared.store.schema import chat_job, usage_day, usage_hour
from shared.store.usage_days import DAY
from tests.contract.job_store.conftest import RETENTION, Store, outcome_of


class Engine:
    """Holds what it is given, and calls nobody."""

    concurrency = free = 10
    running = 0

    def __init__(self) -> None:
        self.begun: list[str] = []

    def begin(self, claimed: Sequence[Any]) -> None:
        self.begun += [job.id for job in claimed]

    def held(self) -> set[Any]:
        return set()

    def abandon(self, claims: object) -> None: ...


class Deaf:
    def ended(self, job_ids: object, *, hooked: bool) -> None: ...

    def more_work(self) -> None: ...

    def resting(self) -> None: ...

    def fenced(self, job_ids: object) -> None: ...

    def swept(self, swept: object) -> None: ...


def keeper_of(store: Store, engine: Engine) -> Keeper:
    parts: Any = {"sealer": None, "engine": engine, "reporter": Deaf()}
    return Keeper(
        database=store.database,
        lease_seconds=60.0,
        retention=RETENTION,
        clock=lambda: store.now,
        **parts,
    )


@pytest.mark.parametrize("duty", ["sweep", "purge"])
@pytest.mark.parametrize(
    "fault", [RuntimeError("a defect"), sa.exc.OperationalError("", {}, Exception("locked"))]
)
def test_claims_go_on_when_another_duty_fails(
    store: Store, duty: str, fault: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise fault

    monkeypatch.setattr(f"services.chat_worker.tidying.jobs.{duty}", broken)
    engine = Engine()
    keeper = keeper_of(store, engine)
    keeper.purge()
    job_id = store.submit()
    keeper._turn()
    assert engine.begun == [job_id]
    keeper._rung = False
    assert not keeper._pending(), "what failed would make it turn without rest"


def test_a_purge_goes_on_until_neither_jobs_nor_days_are_left(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each in a short transaction of its own; the totals once, and not with every batch of jobs."""
    monkeypatch.setattr(sys.modules["shared.store.jobs.sweep"], "PURGE_BATCH", 2)
    for _ in range(5):
        store.submit()
    for claimed in store.claim(5):
        store.finish(outcome_of(claimed, JobState.COMPLETED))
    (job_day,) = days = [int(store.now) // DAY * DAY]
    with store.database.write() as tx:
        hours = tx.execute(sa.select(usage_hour)).mappings().all()
        for earlier in (DAY, 2 * DAY):
            row = {**hours[0], "hour": hours[0]["hour"] - earlier}
            tx.execute(sa.insert(usage_hour), row)
            days.append(job_day - earlier)
    store.now += 30 * DAY
    keeper = keeper_of(store, Engine())
    keeper.purge()
    left, turns = [], 0
    while keeper._tidying.wanted and turns < 20:
        keeper._turn()
        turns += 1
        with store.database.read() as tx:
            left.append(tx.execute(sa.select(sa.func.count()).select_from(chat_job)).scalar_one())
    assert left[:3] == [3, 1, 0]
    with store.database.read() as tx:
        assert sorted(tx.execute(sa.select(usage_day.c.day)).scalars()) == sorted(days)
    assert turns == 7, "three batches of jobs, three days, and a look that finds nothing"


@contextmanager
def locked(database: Database) -> Iterator[None]:
    """Somebody else holds a lock that every writer of a job's row wants."""
    with database.write() as tx:
        if not database.is_sqlite:
            tx.execute(sa.text("LOCK TABLE chat_job IN ACCESS EXCLUSIVE MODE"))
        yield


def write(database: Database) -> None:
    """As a worker writes, with less patience."""
    with database.write() as tx:
        if not database.is_sqlite:
            tx.execute(sa.text("SET LOCAL lock_timeout = 50"))
        tx.execute(sa.text("UPDATE chat_job SET version = version"))


def test_a_lock_that_is_held_for_long_is_not_called_an_outage(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr("shared.store.database.LOCK_TIMEOUT_MS", 50)
    outage = Outage()
    with locked(store.database), pytest.raises(sa.exc.OperationalError) as caught:
        write(store.database)
    outage.note(caught.value)
    outage.note(caught.value)
    outage.note_end()
    told = [record.message for record in caplog.records]
    assert told == [
        "a lock in the database was not free for 5 s; claiming waits, calls go on",
        "the lock is free again",
    ]


def test_an_outage_is_told_although_a_lock_was_told_before(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    locked_out = sa.exc.OperationalError("", {}, cast(Any, _Locked("could not obtain lock")))
    away = sa.exc.OperationalError("", {}, Exception("connection refused"))
    outage = Outage()
    for fault in (locked_out, away, away):
        outage.note(fault)
    outage.note_end()
    assert [record.levelname for record in caplog.records] == ["WARNING", "ERROR", "INFO"]
    assert caplog.records[-1].message == "the database is back"


class _Locked(Exception):
    sqlstate = "55P03"


def test_the_sweep_names_the_jobs_that_it_ended(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    job_id = store.submit(deadline=store.now + 1)
    store.now += 2
    keeper_of(store, Engine())._turn()
    assert store.state(job_id) is JobState.FAILED
    (line,) = (record for record in caplog.records if "of which no worker" in record.message)
    assert cast(Any, line).jobs == [job_id]
