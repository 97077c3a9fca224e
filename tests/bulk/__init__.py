"""Finished jobs by the thousand, as weeks of use leave them: rows, attempts, usage, and the rest.

Written past the API, because the API would take hours: one `executemany` for each batch on SQLite,
COPY on PostgreSQL. What is made depends on the seed and on the time alone.
"""

from __future__ import annotations

import random
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Final

import sqlalchemy as sa

from shared.store import usage
from shared.store.database import Database
from shared.store.schema import (
    api_key,
    audit,
    chat_job,
    event,
    event_counter,
    job_attempt,
    usage_hour,
    webhook_delivery,
)
from tests.bulk import rows
from tests.bulk.rows import Row, Seal, Texts

BATCH: Final = 20_000
DAY: Final = 86_400.0
# Younger than what is kept for seven days, so that no purge begins by itself.
DAYS: Final = 6.0


@dataclass(frozen=True, slots=True)
class Kind:
    """What one provider offers: its id, and the ids of its models as callers name them."""

    provider_id: str
    models: Sequence[str]


@dataclass(frozen=True, slots=True)
class Bulk:
    """What to make: `jobs` that ended before `now`, over the days before it.

    Owners and providers are chosen unevenly, as they are in life: the first has the most.
    """

    jobs: int
    now: float
    owners: Sequence[str]
    kinds: Sequence[Kind]
    days: float = DAYS
    seed: int = 1
    expires_in: float = 7 * DAY  # seconds from the end of each job
    store: bool = True


def fill(database: Database, bulk: Bulk, seal: Seal) -> Sequence[str]:
    """Insert the jobs and all that hangs on them; a hundredth of their ids, oldest first."""
    chance = random.Random(bulk.seed)
    some: list[str] = []
    hours: dict[usage.Key, Counter[str]] = {}
    made = _jobs(bulk, chance, seal)
    while batch := list(islice(made, BATCH)):
        some += [job["id"] for job in batch[::100]]
        for job in batch:
            _count(hours, job)
        with database.write() as tx:
            copy(tx, chat_job, batch)
            copy(tx, job_attempt, [rows.attempt(job) for job in batch])
            copy(
                tx, webhook_delivery, [rows.delivery(job) for job in batch if job["webhook_sealed"]]
            )
    counts = (*usage.COUNTS, *usage.LATENCIES)
    totals = [
        dict(zip(usage.KEYS, key, strict=True)) | {name: count[name] for name in counts}
        for key, count in sorted(hours.items())
    ]
    with database.write() as tx:
        copy(tx, usage_hour, totals)
    return some


def fill_queue(database: Database, bulk: Bulk, count: int, seal: Seal) -> None:
    """Queue as many jobs of all owners and providers, as of the last minute."""
    waiting = replace(bulk, jobs=count, now=time.time(), days=60.0 / DAY, seed=bulk.seed + 1)
    made = map(rows.waiting, _jobs(waiting, random.Random(waiting.seed), seal))
    while batch := list(islice(made, BATCH)):
        with database.write() as tx:
            copy(tx, chat_job, batch)


def fill_trails(database: Database, bulk: Bulk, entries: int) -> None:
    """Insert as many events of the providers, and as many entries of the audit trail."""
    chance = random.Random(bulk.seed)
    moments = [bulk.now - bulk.days * DAY * (1 - n / entries) for n in range(entries)]
    with database.write() as tx:
        last = tx.execute(sa.select(event_counter.c.seq)).scalar_one()
        events = [
            {
                "seq": last + number,
                "id": f"evt_{rows.ulid(at, chance)}",
                "type": chance.choice(("models.changed", "provider.status_changed")),
                "subject": chance.choice(bulk.kinds).provider_id,
                "revision": 1,
                "at": at,
            }
            for number, at in enumerate(moments, 1)
        ]
        copy(tx, event, events)
        tx.execute(sa.update(event_counter).values(seq=last + entries))
        copy(tx, audit, [_entry(at, chance, bulk) for at in moments])


def fill_keys(database: Database, bulk: Bulk) -> None:
    """Insert a key for each owner, which nobody has."""
    keys = [
        {
            "id": key_of(owner),
            "name": owner,
            "owner": owner,
            "role": "member",
            "prefix": "dgm_",
            "digest": f"{number:064}",
            "created_at": bulk.now - bulk.days * DAY,
        }
        for number, owner in enumerate(bulk.owners)
    ]
    with database.write() as tx:
        copy(tx, api_key, keys)


def key_of(owner: str) -> str:
    """The id of an owner's only key."""
    return f"key_{owner}"


def copy(tx: sa.Connection, table: sa.Table, made: Sequence[Row]) -> None:
    """Insert rows that all have the same columns in the same order; JSON is given as text."""
    if not made:
        return
    names = list(made[0])
    values = [tuple(row.values()) for row in made]
    raw: Any = tx.connection.dbapi_connection
    columns = ", ".join(names)
    if isinstance(raw, sqlite3.Connection):
        marks = ", ".join("?" * len(names))
        statement = f"INSERT INTO {table.name} ({columns}) VALUES ({marks})"
        raw.executemany(statement, values)
        return
    with raw.cursor() as cursor, cursor.copy(f"COPY {table.name} ({columns}) FROM STDIN") as there:
        for row in values:
            there.write_row(row)


def _jobs(bulk: Bulk, chance: random.Random, seal: Seal) -> Iterator[Row]:
    step = bulk.days * DAY / bulk.jobs
    owners = _uneven(bulk.owners)
    kinds = _uneven(bulk.kinds)
    texts = Texts.some(chance)
    for number in range(bulk.jobs):
        created = bulk.now - bulk.days * DAY + number * step
        row = rows.job(
            number,
            created,
            chance,
            seed=bulk.seed,
            until=bulk.now,
            kept=bulk.expires_in,
            store=bulk.store,
        )
        kind = chance.choice(kinds)
        model = kind.models[number % len(kind.models)]
        owner = chance.choice(owners)
        yield row | {
            "owner": owner,
            "key_id": key_of(owner),
            "provider_id": kind.provider_id,
            "model": model,
            "upstream_model": model.partition("/")[2],
            **rows.sealed(row, chance, texts, seal),
        }


def _uneven(names: Sequence[Any]) -> Sequence[Any]:
    """Each name, the more often the earlier it comes."""
    return [name for place, name in enumerate(names, 1) for _ in range(-(-24 // place))]


def _entry(at: float, chance: random.Random, bulk: Bulk) -> Row:
    """A login, or a key that was made."""
    owner = chance.choice(bulk.owners)
    return {
        "id": f"aud_{rows.ulid(at, chance)}",
        "at": at,
        "actor_key_id": key_of(owner),
        "actor_name": owner,
        "actor_owner": owner,
        "action": chance.choice(("session.login", "key.create")),
        "subject": key_of(chance.choice(bulk.owners)),
        "detail": "{}",
        "request_id": "req_1",
        "address": "192.0.2.1",
    }


def _count(hours: dict[usage.Key, Counter[str]], job: Row) -> None:
    hour = int(job["completed_at"] // usage.HOUR * usage.HOUR)
    key = (hour, job["owner"], job["key_id"], job["provider_id"], job["model"])
    count = hours.setdefault(key, Counter())
    count["requests"] += 1
    count["failures"] += job["state"] != "completed"
    count["prompt_tokens"] += 180
    count["completion_tokens"] += 120
    count[usage.LATENCIES[9]] += 1
