"""The load generator: one process, bodies encoded once, answers read and not parsed while it runs.

Times are in seconds, of a monotonic clock.
"""

from __future__ import annotations

import asyncio
import resource
import statistics
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp
import msgspec

CHAT: Final = "/v1/chat/completions"
LONGEST_SECONDS: Final = 120.0
FAILURES: Final = (aiohttp.ClientError, TimeoutError, OSError)


@dataclass(frozen=True, slots=True)
class Call:
    """What is asked, as bytes; `expected` is the status of a good answer."""

    url: str
    headers: Mapping[str, str]
    body: bytes
    expected: int = 200


@dataclass(slots=True)
class Answers:
    """What came of a load: how long each good call took, why others failed."""

    took: list[float] = field(default_factory=list)
    failed: Counter[str] = field(default_factory=Counter)
    began: float = 0.0
    seconds: float = 0.0  # from the first call to the last answer
    cpu: float = 0.0  # CPU seconds of this very process meanwhile

    @property
    def calls(self) -> int:
        """Calls that were answered as expected."""
        return len(self.took)

    @property
    def errors(self) -> int:
        """Calls that were not."""
        return self.failed.total()

    @property
    def rate(self) -> float:
        """Good calls a second."""
        return self.calls / self.seconds

    def quantile(self, share: float) -> float:
        """Seconds within which `share` of the good calls were answered; raises when none was."""
        ordered = sorted(self.took)
        if not ordered:
            raise ValueError(f"Expected answers, got {dict(self.failed)}. Look at the side's log.")
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))]

    @property
    def median(self) -> float:
        """The median in seconds."""
        return statistics.median(self.took) if self.took else self.quantile(0.5)


def raise_file_limit() -> None:
    """Let this process, and those that it starts, open as many files as they may."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def chat(
    url: str,
    key: str | None,
    model: str,
    *,
    sim: Mapping[str, Any] | None = None,
    **fields: Any,
) -> Call:
    """A chat; `sim` is what the simulated upstream is asked for, passed on by whoever is between.

    A background one expects 202.
    """
    body = {"model": model, "messages": [{"role": "user", "content": "Hello"}], **fields}
    if sim:
        body["sim"] = sim
    headers = {"Content-Type": "application/json"}
    if key is not None:
        headers["Authorization"] = f"Bearer {key}"
    expected = 202 if fields.get("background") else 200
    return Call(f"{url}{CHAT}", headers, msgspec.json.encode(body), expected)


@asynccontextmanager
async def clients() -> AsyncIterator[aiohttp.ClientSession]:
    """Connections without a limit of their number; nothing is kept between calls but these."""
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0),
        cookie_jar=aiohttp.DummyCookieJar(),
        skip_auto_headers=("User-Agent", "Accept"),
        timeout=aiohttp.ClientTimeout(total=LONGEST_SECONDS),
    ) as session:
        yield session


async def ask(session: aiohttp.ClientSession, call: Call, answers: Answers) -> None:
    """One call; what becomes of it is added to `answers`."""
    began = time.perf_counter()
    try:
        async with session.post(call.url, data=call.body, headers=call.headers) as answer:
            body = await answer.read()
    except FAILURES as error:
        answers.failed[type(error).__name__] += 1
        return
    if answer.status == call.expected:
        answers.took.append(time.perf_counter() - began)
    else:
        answers.failed[f"{answer.status} {body[:200].decode(errors='replace')}"] += 1


@asynccontextmanager
async def measured(answers: Answers) -> AsyncIterator[Answers]:
    """Time and CPU of the block, written into `answers` at its end."""
    cpu, answers.began = time.process_time(), time.perf_counter()
    yield answers
    answers.seconds = time.perf_counter() - answers.began
    answers.cpu = time.process_time() - cpu


async def closed_loop(call: Call, *, connections: int, seconds: float) -> Answers:
    """Each connection asks again as soon as it was answered, for `seconds`."""
    answers = Answers()

    async def one(session: aiohttp.ClientSession, until: float) -> None:
        while time.perf_counter() < until:
            await ask(session, call, answers)

    async with clients() as session, measured(answers):
        until = answers.began + seconds
        await asyncio.gather(*(one(session, until) for _ in range(connections)))
    return answers


async def open_loop(call: Call, *, rate: float, seconds: float) -> Answers:
    """`rate` calls a second, evenly, whether or not the ones before were answered."""
    answers = Answers()
    async with clients() as session, measured(answers):
        asked = []
        for number in range(int(rate * seconds)):
            await asyncio.sleep(answers.began + number / rate - time.perf_counter())
            asked.append(asyncio.create_task(ask(session, call, answers)))
        await asyncio.gather(*asked)
    return answers


async def at_once(call: Call, count: int) -> Answers:
    """`count` calls, all begun at the same moment."""
    answers = Answers()
    async with clients() as session, measured(answers):
        await asyncio.gather(*(ask(session, call, answers) for _ in range(count)))
    return answers


async def one_by_one(call: Call, count: int) -> Answers:
    """`count` calls, each when the one before was answered, over one connection."""
    answers = Answers()
    async with clients() as session, measured(answers):
        for _ in range(count):
            await ask(session, call, answers)
    return answers


async def exactly(call: Call, count: int, *, connections: int) -> Answers:
    """`count` calls over `connections`, each of which asks again as soon as it was answered."""
    answers, left = Answers(), iter(range(count))

    async def one(session: aiohttp.ClientSession) -> None:
        for _ in left:
            await ask(session, call, answers)

    async with clients() as session, measured(answers):
        await asyncio.gather(*(one(session) for _ in range(connections)))
    return answers
