"""One job on its way to its end: its states by long polls, its text by the stream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from typing import Any, Final

import httpx

from cli import api, given, routes, wording
from cli.conversation import Telling
from cli.failures import Failure, Refused, Unreachable
from cli.jobs.showing import waiting
from cli.routes import LONGEST_WAIT, TERMINAL, Document
from cli.session import Session

LOOK_SECONDS: Final = 5  # `waiting_for` is no change that a long poll tells of
TEXT_SECONDS: Final = 10.0  # that the text may come behind the end
PATIENCE: Final = 10  # attempts in a row without an answer
REST_SECONDS: Final = 1.0
PASSING: Final = frozenset({429, 502, 503, 504})


class Following:
    """One job being followed."""

    def __init__(self, session: Session, job_id: str, *, reasoning: bool) -> None:
        self._session = session
        self._path = routes.job(job_id)
        self._telling = Telling(session.out, reasoning)
        self._told = ""

    async def run(self) -> Document:
        """The job once it has ended; raises Failure."""
        server = self._session.server
        async with httpx.AsyncClient(
            base_url=server.url,
            headers=api.identity(server),
            timeout=api.timeout(LONGEST_WAIT),
            trust_env=not server.is_local,
            transport=self._session.app.transport,
        ) as http:
            if self._session.out.as_json:
                return await self._states(http)
            text = asyncio.create_task(self._text(http))
            try:
                job = await self._states(http)
                await asyncio.wait([text], timeout=TEXT_SECONDS)
            finally:
                text.cancel()
                with suppress(asyncio.CancelledError):
                    await text
                self._telling.end()
        self._tell(job)
        return job

    async def _states(self, http: httpx.AsyncClient) -> Document:
        """Tell the states up to the last, whose job is returned and told by the caller."""
        known, failures = "", 0
        while True:
            wanted = {"Prefer": f"wait={LOOK_SECONDS}", "If-None-Match": known} if known else {}
            try:
                answer = await self._get(http, wanted)
                if not (changed := answer.status_code != httpx.codes.NOT_MODIFIED):
                    answer = await self._get(http, {})
            except (Refused, Unreachable) as problem:
                failures += 1
                if failures == PATIENCE or not (known and _passes(problem)):
                    raise
                await asyncio.sleep(REST_SECONDS)
                continue
            failures = 0
            job, known = api.document(answer), answer.headers.get("ETag", "")
            if self._session.out.as_json:
                if changed:
                    self._session.out.line(job)
            elif job["status"] not in TERMINAL:
                self._tell(job)
            if job["status"] in TERMINAL:
                return job

    async def _get(self, http: httpx.AsyncClient, headers: Mapping[str, str]) -> httpx.Response:
        try:
            return api.succeeded(await http.get(self._path, headers=headers))
        except httpx.TransportError as problem:
            raise api.unreachable(self._session.server, problem) from problem

    async def _text(self, http: httpx.AsyncClient) -> None:
        """Show the chunks up to the end; where the stream is cut off, go on behind the last."""
        last = -1
        while True:
            try:
                async for chunk in self._chunks(http, last):
                    last = chunk["sequence_number"]
                    self._telling.take(chunk)
                return
            except (Refused, Unreachable, httpx.TransportError) as problem:
                if isinstance(problem, Refused) and not _passes(problem):
                    return  # the job failed, and its state says why
                await asyncio.sleep(REST_SECONDS)

    async def _chunks(self, http: httpx.AsyncClient, last: int) -> AsyncIterator[Document]:
        query = {"stream": "true", "starting_after": str(last)}
        async with http.stream("GET", self._path, params=query) as answer:
            if answer.is_error:
                await answer.aread()
            api.succeeded(answer)
            rest = b""
            async for part in answer.aiter_bytes():
                *whole, rest = (rest + part).split(b"\n")
                for line in whole:
                    found = api.chunk_of(line, answer)
                    if found:
                        yield found
                    elif found is not None:
                        return
        raise Unreachable("Expected the end of the stream, got a closed connection.")

    def _tell(self, job: Mapping[str, Any]) -> None:
        """Say how it stands, where that is news."""
        status = job["status"]
        text = {
            "queued": f"queued: {waiting(job)}" if waiting(job) else "queued",
            "in_progress": f"in progress, attempt {job['attempts'] or 1}",
        }.get(status, status)
        if status == "completed":
            usage = given.fields(job["usage"])
            began = job["started_at"] or job["created"]
            took = wording.spelled(max(0, (job["completed_at"] or began) - began))
            text = f"completed in {took}, {usage.get('completion_tokens', '?')} tokens"
        if text != self._told and status not in ("failed", "cancelled"):
            self._told = text
            self._session.out.say(text, style=wording.style_of(status))


def _passes(problem: Failure) -> bool:
    """Whether the same may be asked again: the server is away, or has no time."""
    return not isinstance(problem, Refused) or problem.status in PASSING
