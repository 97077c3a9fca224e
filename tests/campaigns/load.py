"""A load of chats over HTTP that remembers what was accepted, refused and seen.

Every chat carries a mark of its own in `user`: `<run>-<kind>-<number>`. Kinds: `b` background,
`r` background with `on_interrupt: retry`, `p` plain (waits for its answer).
"""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp

from tests.api import CHAT, TERMINAL, chat_body

FAILURES: Final = (aiohttp.ClientError, TimeoutError, OSError)
SIGHTINGS_PER_SECOND: Final = 40


@dataclass(frozen=True, slots=True)
class Accepted:
    """A chat that was answered 202, or 200 when plain. Times are `time.time()`."""

    job_id: str
    mark: str
    at: float
    took: float  # seconds from request to answer


@dataclass(frozen=True, slots=True)
class Refused:
    """A chat that was not accepted: whether a job exists is unknown when `why` is no status."""

    mark: str
    at: float
    why: str
    took: float = 0.0  # seconds from request to answer


@dataclass(frozen=True, slots=True)
class Sighting:
    """What a terminal job looked like; it must never look different again."""

    status: str
    completed_at: float | None
    code: str | None
    content: str | None

    @classmethod
    def of(cls, job: Mapping[str, Any]) -> Sighting:
        choices, error = job["choices"], job["error"]
        content = choices[0]["message"]["content"] if choices else None
        return cls(job["status"], job["completed_at"], error and error["code"], content)


@dataclass(slots=True)
class Shape:
    """What the load is made of: `kinds` are weights, `latency` the upstream's bounds in seconds."""

    kinds: Mapping[str, float] = field(default_factory=lambda: {"b": 1.0})
    latency: tuple[float, float] = (0.1, 2.0)
    rate: float = 40.0  # chats a second over all connections
    connections: int = 32


class Load:
    """Runs on a thread of its own from `start` to `stop`; the lists may be read at any time."""

    def __init__(
        self, url: str, key: str, model: str, *, run: str, shape: Shape, seed: int
    ) -> None:
        self.accepted: list[Accepted] = []
        self.refused: list[Refused] = []
        self.plain: list[Accepted] = []
        self.first_seen: dict[str, Sighting] = {}
        self._url, self._key, self._model, self._run, self._shape = url, key, model, run, shape
        self._random = random.Random(seed)
        self._number = 0
        self._next_at = 0.0
        self._stopping = threading.Event()
        main = self._main
        self._thread = threading.Thread(
            target=lambda: asyncio.run(main()), name="load", daemon=True
        )

    def start(self) -> None:
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether it runs; without `stop` only an error ends it."""
        return self._thread.is_alive()

    def stop(self) -> None:
        """End after the chats that are under way."""
        self._stopping.set()
        self._thread.join()

    def collect(self) -> dict[str, Mapping[str, Any] | None]:
        """Id → job as it is now, of all that were accepted; None when the answer was no 200."""
        ids = [entry.job_id for entry in (*self.accepted, *self.plain)]
        return asyncio.run(collect(self._url, self._key, ids))

    async def _main(self) -> None:
        connections = self._shape.connections
        async with session(self._url, self._key) as http:
            await asyncio.gather(*(self._submit(http) for _ in range(connections)), self._see(http))

    async def _submit(self, http: aiohttp.ClientSession) -> None:
        shape = self._shape
        while not self._stopping.is_set():
            now = time.monotonic()
            slot = self._next_at = max(self._next_at + 1 / shape.rate, now)
            await asyncio.sleep(slot - now)
            kind = self._random.choices(list(shape.kinds), list(shape.kinds.values()))[0]
            self._number += 1
            await self._one(http, kind, f"{self._run}-{kind}-{self._number}")

    async def _one(self, http: aiohttp.ClientSession, kind: str, mark: str) -> None:
        fields: dict[str, Any] = {"sim": {"latency": self._random.uniform(*self._shape.latency)}}
        if kind != "p":
            fields["background"] = True
        if kind == "r":
            fields["background_options"] = {"on_interrupt": "retry"}
        began, at = time.monotonic(), time.time()
        try:
            async with http.post(CHAT, json=chat_body(self._model, mark, **fields)) as answer:
                document = await answer.json(content_type=None)
        except (*FAILURES, ValueError) as error:
            why = f"{type(error).__name__}: {error}"
            self.refused.append(Refused(mark, at, why, time.monotonic() - began))
            return
        took = time.monotonic() - began
        if answer.status in (200, 202):
            entry = Accepted(document["id"], mark, at, took)
            (self.plain if kind == "p" else self.accepted).append(entry)
        else:
            why = f"{answer.status} {document['error']['code']}"
            self.refused.append(Refused(mark, at, why, took))

    async def _see(self, http: aiohttp.ClientSession) -> None:
        unseen: deque[str] = deque()
        known = 0
        while not self._stopping.is_set():
            unseen.extend(entry.job_id for entry in self.accepted[known:])
            known = len(self.accepted)
            if unseen:
                job_id = unseen.popleft()
                job = await fetch(http, job_id)
                if job is not None and job["status"] in TERMINAL:
                    self.first_seen[job_id] = Sighting.of(job)
                else:
                    unseen.append(job_id)
            await asyncio.sleep(1 / SIGHTINGS_PER_SECOND)


def session(url: str, key: str) -> aiohttp.ClientSession:
    """A client without a limit of connections; a call may take 90 s."""
    return aiohttp.ClientSession(
        url,
        headers={"Authorization": f"Bearer {key}"},
        connector=aiohttp.TCPConnector(limit=0),
        timeout=aiohttp.ClientTimeout(total=90),
    )


async def fetch(http: aiohttp.ClientSession, job_id: str) -> Mapping[str, Any] | None:
    """The job as it is now; None when the answer was no 200 or did not come."""
    try:
        async with http.get(f"{CHAT}/{job_id}") as answer:
            document: Mapping[str, Any] = await answer.json(content_type=None)
    except (*FAILURES, ValueError):
        return None
    return document if answer.status == 200 else None


async def collect(
    url: str, key: str, job_ids: Iterable[str], *, connections: int = 16
) -> dict[str, Mapping[str, Any] | None]:
    """Id → job as it is now, None where the answer was no 200."""
    found: dict[str, Mapping[str, Any] | None] = {}
    waiting = deque(job_ids)

    async def some(http: aiohttp.ClientSession) -> None:
        while waiting:
            job_id = waiting.popleft()
            found[job_id] = await fetch(http, job_id)

    async with session(url, key) as http:
        await asyncio.gather(*(some(http) for _ in range(connections)))
    return found


async def burst(
    url: str, key: str, bodies: Iterable[Mapping[str, Any]], *, connections: int
) -> list[Accepted]:
    """Submit all as fast as `connections` allow; AssertionError unless each was accepted."""
    accepted: list[Accepted] = []
    waiting = deque(bodies)

    async def some(http: aiohttp.ClientSession) -> None:
        while waiting:
            body = waiting.popleft()
            began, at = time.monotonic(), time.time()
            async with http.post(CHAT, json=body) as answer:
                text = await answer.text()
                assert answer.status in (200, 202), f"{answer.status}: {text}"
                job_id = (await answer.json())["id"]
            took = time.monotonic() - began
            accepted.append(Accepted(job_id, str(body.get("user", "")), at, took))

    async with session(url, key) as http:
        await asyncio.gather(*(some(http) for _ in range(connections)))
    return accepted
