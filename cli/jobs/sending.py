"""Many chats at once, each once: submitted with a key of its own, and watched to its end.

A chat takes one request where it ends within a minute: the submission waits for it. Every further
minute takes one more. What is interrupted goes on at the server, and the next run finds it by key.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport

from cli import api, routes
from cli.failures import Refused, Unreachable
from cli.jobs.lines import Input, Line
from cli.jobs.results import Results
from cli.routes import CHAT, LONGEST_WAIT, TERMINAL, Document
from cli.session import Session

PATIENCE: Final = 120.0  # seconds without any answer before a run gives up
SHORTEST_REST: Final = 0.5
LONGEST_REST: Final = 15.0
USUAL_RETRY_AFTER: Final = 5.0
MOST_TRIES: Final = 5  # of a chat at which the server itself fails
MOST_REFUSED: Final = 20  # in a row: then the rest would be, too
_WAIT: Final = {"Prefer": f"wait={LONGEST_WAIT}"}
_AGAIN: Final = frozenset({502, 503, 504})
_LOST: Final = (httpx.TransportError, aiohttp.ClientError, Unreachable)


class Sending:
    """One run over a file. `refused` holds what the server did not take, as (line, why)."""

    def __init__(self, session: Session, chats: Input, results: Results) -> None:
        self._session = session
        self._chats = chats
        self._results = results
        self.refused: list[tuple[int, Refused]] = []
        self.under_way = 0
        self.holding: str | None = None  # why nothing is submitted now
        self._refused_in_a_row = 0
        self._not_before = 0.0
        self._heard = time.monotonic()

    async def run(self, concurrency: int) -> None:
        """Return when every line has its result or was refused; raises Failure."""
        pending = self._pending()
        async with _client(self._session) as http:
            syncing = asyncio.create_task(self._results.sync())
            try:
                async with asyncio.TaskGroup() as group:
                    for _ in range(concurrency):
                        group.create_task(self._work(http, pending))
            except BaseExceptionGroup as failures:
                raise failures.exceptions[0] from None
            finally:
                syncing.cancel()
                with suppress(asyncio.CancelledError):
                    await syncing

    def _pending(self) -> Iterator[tuple[Line, str]]:
        for line in self._chats.lines():
            key = self._chats.key(line)
            self._results.check(line.number, key)
            if line.number not in self._results:
                yield line, self._results.key_of(line.number, key)

    async def _work(self, http: httpx.AsyncClient, pending: Iterator[tuple[Line, str]]) -> None:
        for line, key in pending:
            self.under_way += 1
            try:
                self._results.add(row(line, key, await self._ended(http, line, key)))
                self._refused_in_a_row = 0
            except Refused as refused:
                self._note(line, refused)
            finally:
                self.under_way -= 1

    def _note(self, line: Line, refused: Refused) -> None:
        """Remember a refusal; raises it where it is not about this line."""
        self.refused.append((line.number, refused))
        self._refused_in_a_row += 1
        if refused.status in (401, 403) or self._refused_in_a_row >= MOST_REFUSED:
            raise refused

    async def _ended(self, http: httpx.AsyncClient, line: Line, key: str) -> Document:
        """The job of a line when it is terminal; raises Refused and Unreachable."""
        headers = {**_WAIT, "Idempotency-Key": key}
        job = await self._ask(http, "POST", CHAT, headers, line.body)
        while job["status"] not in TERMINAL:
            job = await self._ask(http, "GET", routes.job(job["id"]), _WAIT)
        return job

    async def _ask(
        self,
        http: httpx.AsyncClient,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: Any = None,
    ) -> Document:
        """The answer, however often it has to be asked for: every request may be repeated."""
        tries, rest = 0, SHORTEST_REST
        while True:
            await self._gate()
            try:
                answer = await http.request(method, path, json=body, headers=headers)
                self._heard = time.monotonic()
                return api.document(api.succeeded(answer))
            except Refused as refused:
                self._heard = time.monotonic()
                tries += refused.status == 500
                if refused.status == 429:
                    self._hold(refused)
                    continue
                if refused.status not in _AGAIN and not 0 < tries < MOST_TRIES:
                    raise
            except _LOST as problem:
                if time.monotonic() - self._heard > PATIENCE:
                    raise api.unreachable(self._session.server, problem) from problem
                self.holding = "the server does not answer"
            await asyncio.sleep(rest * random.uniform(0.7, 1.3))  # noqa: S311 - spreads load
            rest = min(rest * 2, LONGEST_REST)

    def _hold(self, refused: Refused) -> None:
        """Let nobody ask before the time that the server named."""
        until = time.monotonic() + (refused.retry_after or USUAL_RETRY_AFTER)
        self._not_before = max(self._not_before, until)
        self.holding = refused.message

    async def _gate(self) -> None:
        while (left := self._not_before - time.monotonic()) > 0:
            await asyncio.sleep(left * random.uniform(1, 1.1))  # noqa: S311 - not all at once
        self.holding = None


def row(line: Line, key: str, job: Mapping[str, Any]) -> dict[str, Any]:
    """The result of a line."""
    done = job["status"] == "completed"
    return {
        "line": line.number,
        "custom_id": line.custom_id,
        "job_id": job["id"],
        "status": job["status"],
        "completion": dict(job) if done else None,
        "error": job["error"],
        "idempotency_key": key,
    }


@asynccontextmanager
async def _client(session: Session) -> AsyncIterator[httpx.AsyncClient]:
    """Many requests in flight: aiohttp's pool, because httpx's own collapses beyond a hundred."""
    server = session.server

    def pool() -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(limit=0)
        return aiohttp.ClientSession(connector=connector, trust_env=not server.is_local)

    transport = session.app.transport or AiohttpTransport(client=pool)
    async with httpx.AsyncClient(
        base_url=server.url,
        headers=api.identity(server),
        timeout=httpx.Timeout(LONGEST_WAIT + 15.0, connect=5.0, pool=10.0),
        transport=transport,
    ) as http:
        yield http
