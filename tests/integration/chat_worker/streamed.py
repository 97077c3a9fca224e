"""What the tests of streamed jobs ask for, and what readers would find."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import redis
import sqlalchemy as sa

from shared import ids, live
from shared.store import jobs
from shared.store.schema import chat_job
from tests.integration.chat_worker.conftest import Bench

WORDS = 20
Chunks = list[dict[str, Any]]


def submit(bench: Bench, sim: dict[str, Any] | None = None, **changes: Any) -> str:
    """A job whose answer of twenty words is asked for as a stream."""
    return bench.submit({"words": WORDS, **(sim or {})}, stream=True, **changes)


def log_of(bench: Bench, job_id: str) -> Chunks:
    """Every chunk that the row keeps; none where it has no log."""
    sealed = _column(bench, job_id, "log_sealed")
    if sealed is None:
        return []
    packed = bench.sealer.open(sealed, table=jobs.TABLE, row=job_id, column=jobs.LOG)
    return [json.loads(line) for line in live.logged_chunks(packed)]


class Reader:
    """Follows one job as a registry does, but asks for nothing again by itself.

    `sent` are the messages as Redis had them.
    """

    def __init__(self, bench: Bench, job_id: str, after: int) -> None:
        self.sent: list[bytes] = []
        self.chunks: Chunks = []
        self._sealer = bench.sealer
        self._job_id = job_id
        self._last = after
        self._name = ids.new(ids.WORKER)
        self._redis = redis.Redis.from_url(bench.valkey.url, socket_timeout=5)
        self._subscription = self._redis.pubsub(ignore_subscribe_messages=True)  # type: ignore[no-untyped-call]
        self._subscription.subscribe(live.channel_of(self._name))
        self._subscription.get_message(timeout=2)  # it is subscribed

    def ask(self) -> None:
        """Tell the workers where this reader is."""
        said = live.Follows(self._name, begin={self._job_id: self._last})
        self._redis.publish(live.FOLLOWS, said.message())

    def heard(self, quiet: float = 0.15) -> Chunks:
        """All chunks so far, once nothing has come for so many seconds."""
        while message := self._subscription.get_message(timeout=quiet):
            self.sent.append(message["data"])
            for entry in live.open_entries(self._sealer, self._name, message["data"]):
                assert entry.job_id == self._job_id
                new = entry.after(self._last)
                assert new is not None, "a gap"
                self._last += len(new)
                self.chunks += [json.loads(chunk) for chunk in new]
        return self.chunks

    def close(self) -> None:
        self._subscription.close()
        self._redis.close()


@contextmanager
def reading(bench: Bench, job_id: str, *, after: int = -1) -> Iterator[Reader]:
    """A reader who has the chunks of this job up to `after`, and asked for the others."""
    reader = Reader(bench, job_id, after)
    reader.ask()
    try:
        yield reader
    finally:
        reader.close()


def seen(bench: Bench, job_id: str, *, after: int = -1) -> Chunks:
    """The chunks that a reader who has those up to `after` and comes now is given at once."""
    with reading(bench, job_id, after=after) as reader:
        return reader.heard()


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
