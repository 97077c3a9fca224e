"""Finished jobs by the thousand, as weeks of use leave them: rows, attempts, usage, and the rest.

Written past the API, because the API would take hours: one `executemany` for each batch on SQLite,
COPY on PostgreSQL. What is made depends on the seed and on the time alone.
"""

from __future__ import annotations

import random
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from ulid import ULID

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

BATCH: Final = 20_000
DAY: Final = 86_400.0
# Younger than what is kept for seven days, so that no purge begins by itself.
DAYS: Final = 6.0
ENDS: Final = ("completed",) * 97 + ("failed",) * 2 + ("cancelled",)
TIERS: Final = ("default",) * 8 + ("flex", "priority")
WORDS: Final = ("quick", "brown", "fox", "jumps", "over", "lazy", "dogs", "while", "translating")

Row = dict[str, Any]
Seal = Callable[[bytes, str, str], str]  # plain text, id of the row, column


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
    rows = _jobs(bulk, chance, seal)
    while batch := list(islice(rows, BATCH)):
        some += [job["id"] for job in batch[::100]]
        for job in batch:
            _count(hours, job)
        with database.write() as tx:
            copy(tx, chat_job, batch)
            copy(tx, job_attempt, [_attempt(job) for job in batch])
            copy(tx, webhook_delivery, [_delivery(job) for job in batch if job["webhook_sealed"]])
    counts = (*usage.COUNTS, *usage.LATENCIES)
    totals = [
        dict(zip(usage.KEYS, key, strict=True)) | {name: count[name] for name in counts}
        for key, count in sorted(hours.items())
    ]
    with database.write() as tx:
        copy(tx, usage_hour, totals)
    return some


def fill_trails(database: Database, bulk: Bulk, entries: int) -> None:
    """Insert as many events of the providers, and as many entries of the audit trail."""
    chance = random.Random(bulk.seed)
    moments = [bulk.now - bulk.days * DAY * (1 - n / entries) for n in range(entries)]
    with database.write() as tx:
        last = tx.execute(sa.select(event_counter.c.seq)).scalar_one()
        events = [
            {
                "seq": last + number,
                "id": f"evt_{_ulid(at, chance)}",
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
    rows = [
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
        copy(tx, api_key, rows)


def key_of(owner: str) -> str:
    """The id of an owner's only key."""
    return f"key_{owner}"


def copy(tx: sa.Connection, table: sa.Table, rows: Sequence[Row]) -> None:
    """Insert rows that all have the same columns in the same order; JSON is given as text."""
    if not rows:
        return
    names = list(rows[0])
    values = [tuple(row.values()) for row in rows]
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
        row = _job(bulk, number, created, chance)
        kind = chance.choice(kinds)
        model = kind.models[number % len(kind.models)]
        owner = chance.choice(owners)
        yield row | {
            "owner": owner,
            "key_id": key_of(owner),
            "provider_id": kind.provider_id,
            "model": model,
            "upstream_model": model.partition("/")[2],
            **_sealed(row, chance, texts, seal),
        }


def _uneven(names: Sequence[Any]) -> Sequence[Any]:
    """Each name, the more often the earlier it comes."""
    return [name for place, name in enumerate(names, 1) for _ in range(-(-24 // place))]


def _job(bulk: Bulk, number: int, created: float, chance: random.Random) -> Row:
    state = chance.choice(ENDS)
    ended = min(created + chance.uniform(0.2, 20.0), bulk.now - 1)
    keyed = number % 10 == 0
    return {
        "id": _ulid(created, chance),
        "request_id": f"req_{number}",
        "background": True,
        "store": bulk.store,
        "service_tier": chance.choice(TIERS),
        "metadata": f'{{"run": "{number % 1_000}", "part": "{number}"}}',
        "on_interrupt": "fail",
        "on_unavailable": "wait",
        "state": state,
        "worker_id": "wrk_01ARZ3NDEKTSV4RRFFQ69G5FAV",
        "attempt": 1,
        "calls": 1,
        "interrupts": 0,
        "losses": 0,
        "not_before": 0.0,
        "deadline": created + 3_600,
        "created_at": created,
        "started_at": created + 0.01,
        "completed_at": ended,
        "expires_at": ended + bulk.expires_in,
        "version": 3,
        "error_code": _code(state),
        "may_have_been_billed": False,
        "idempotency_key": f"run-{bulk.seed}-{number}" if keyed else None,
        "body_fingerprint": "0" * 32 if keyed else None,
    }


def _sealed(row: Row, chance: random.Random, texts: Texts, seal: Seal) -> Row:
    """What only the keyring opens; a twentieth have a webhook."""
    job_id, completed = row["id"], row["state"] == "completed"
    answer, hooked = chance.choice(texts.answers), chance.random() < 0.05
    return {
        "request_sealed": seal(chance.choice(texts.questions), job_id, "request_sealed"),
        "result_sealed": seal(answer, job_id, "result_sealed") if completed else None,
        "webhook_sealed": seal(b"{}", job_id, "webhook_sealed") if hooked else None,
    }


def _code(state: str) -> str | None:
    return {"failed": "upstream_server_error", "cancelled": "cancelled"}.get(state)


def _attempt(job: Row) -> Row:
    """The evidence of a job's only claim."""
    return {
        "job_id": job["id"],
        "attempt": 1,
        "worker_id": job["worker_id"],
        "chat_url": "https://inference.example.com/v1/chat/completions",
        "key_fingerprint": "3fa1b2c4",
        "provider_revision": 1,
        "started_at": job["started_at"],
        "ended_at": job["completed_at"],
        "calls": 1,
        "connect_seconds": 0.004,
        "first_byte_seconds": 0.12,
        "upstream_status": 200,
        "outcome": job["error_code"] or "completed",
        "sent": True,
        "fenced": False,
        "prompt_tokens": 180,
        "completion_tokens": 120,
    }


def _delivery(job: Row) -> Row:
    """A webhook that was delivered at once."""
    return {
        "id": f"evt_{job['id']}",
        "job_id": job["id"],
        "type": f"chat.completion.{job['state']}",
        "status": "delivered",
        "attempts": 1,
        "next_at": job["completed_at"],
        "claimed_until": 0.0,
        "last_status": 204,
        "created_at": job["completed_at"],
    }


def _entry(at: float, chance: random.Random, bulk: Bulk) -> Row:
    """A login, or a key that was made."""
    owner = chance.choice(bulk.owners)
    return {
        "id": f"aud_{_ulid(at, chance)}",
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


def _ulid(at: float, chance: random.Random) -> str:
    return str(ULID.from_int(int(at * 1000) << 80 | chance.getrandbits(80)))


@dataclass(frozen=True, slots=True)
class Texts:
    """Some questions and answers of about 900 bytes each: composing a new one takes 60 µs."""

    questions: Sequence[bytes]
    answers: Sequence[bytes]

    @classmethod
    def some(cls, chance: random.Random) -> Texts:
        said = [" ".join(chance.choices(WORDS, k=chance.randint(60, 180))) for _ in range(256)]
        return cls([_question(text) for text in said], [_answer(text) for text in said])


def _question(text: str) -> bytes:
    """The body that an upstream gets."""
    messages = [
        {"role": "system", "content": "You are a careful translator."},
        {"role": "user", "content": text},
    ]
    return msgspec.json.encode({"model": "m", "messages": messages})


def _answer(text: str) -> bytes:
    """What an upstream answers."""
    message = {"role": "assistant", "content": text}
    document = {
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 180, "completion_tokens": 120, "total_tokens": 300},
        "system_fingerprint": "fp_1",
    }
    return msgspec.json.encode(document)
