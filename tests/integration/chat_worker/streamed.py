"""What the tests of streamed jobs ask for, and what readers would find."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import redis
import sqlalchemy as sa

from shared import live
from shared.store import jobs
from shared.store.schema import chat_job
from tests.integration.chat_worker.conftest import Bench

WORDS = 20
Chunks = list[dict[str, Any]]


def submit(bench: Bench, sim: dict[str, Any] | None = None, **changes: Any) -> str:
    """A job whose answer of twenty words is asked for as a stream."""
    return bench.submit({"words": WORDS, **(sim or {})}, stream=True, **changes)


@contextmanager
def redis_of(bench: Bench) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(bench.valkey.url, decode_responses=True) as client:
        yield client


def log_of(bench: Bench, job_id: str) -> Chunks:
    """Every chunk that the row keeps; none where it has no log."""
    sealed = _column(bench, job_id, "log_sealed")
    if sealed is None:
        return []
    packed = bench.sealer.open(sealed, table=jobs.TABLE, row=job_id, column=jobs.LOG)
    return [json.loads(line) for line in live.logged_chunks(packed)]


def seen(bench: Bench, job_id: str, *, after: int = -1) -> Chunks:
    """The chunks that a reader who has those up to `after` finds in Redis now."""
    with redis_of(bench) as client:
        start = f"({live.position_after(after)}"
        entries: Any = client.xrange(live.stream_key(job_id), min=start)
    chunks: Chunks = []
    for _, fields in entries:
        new = live.open_entry(bench.sealer, job_id, fields).after(after + len(chunks))
        assert new is not None, "a gap"
        chunks += [json.loads(chunk) for chunk in new]
    return chunks


def publishing(bench: Bench, job_id: str) -> bool:
    """Whether the database knows that readers may see chunks of this job."""
    return bool(_column(bench, job_id, "publishing"))


def numbers(chunks: Chunks) -> list[int]:
    return [chunk["sequence_number"] for chunk in chunks]


def text(chunks: Chunks) -> str:
    return "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks)


def _column(bench: Bench, job_id: str, name: str) -> Any:
    with bench.database.read() as tx:
        query = sa.select(chat_job.c[name]).where(chat_job.c.id == job_id)
        return tx.execute(query).scalar_one()
