"""Jobs cancelled while they wait, while they run, while they end: promise 10.

`queued` jobs wait behind a full provider; `running` and `streamed` ones are cancelled once the
upstream has their call, `deleted` ones are deleted then; `racing` ones are cancelled at any time.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp

from tests.api import CHAT, chat_body
from tests.campaigns.checker import Finding
from tests.campaigns.faults import Say
from tests.campaigns.load import Sighting, fetch, session
from tests.campaigns.stage import stage
from tests.simulators import Calls, Remote
from tests.system import System

QUEUED_SECONDS: Final = 1.0
CLOSED_SECONDS: Final = 2.0
IN_A_ROUND: Final[Mapping[str, int]] = {
    "queued": 10,
    "running": 10,
    "streamed": 10,
    "deleted": 5,
    "racing": 25,
}
LONG: Final = 60.0  # seconds that a call takes which nothing ends but its cancel
RACE: Final = 0.5  # seconds: the longest call of a race, and the latest cancel
LOOK: Final = 0.02


@dataclass(slots=True)
class Cancelled:
    """One job; times are in seconds, None where there was nothing to measure."""

    kind: str
    mark: str
    job_id: str = ""
    took: float | None = None  # until the cancel was answered
    closed: float | None = None  # from that answer until the upstream saw the connection close
    end: Sighting | None = None  # as the cancel was answered
    last: Sighting | None = None  # long after
    wrong: str | None = None


def run(folder: Path, *, seconds: float, seed: int, say: Say) -> list[Finding]:
    """Round after round until `seconds` are over, on a system of its own."""
    with stage(folder, second_worker=False) as setting:
        return play(setting.system, setting.upstream, seconds=seconds, seed=seed, say=say)


def play(system: System, upstream: Remote, *, seconds: float, seed: int, say: Say) -> list[Finding]:
    """Round after round until `seconds` are over, one at least."""
    api = system.api
    open_to_all = api.add_provider("cancel", upstream.url)["slug"]
    full = api.add_provider("cancel, full", upstream.url, options={"max_concurrency": 1})["slug"]
    blocker = api.submit(f"{full}/sim-model", "blocker", sim={"latency": 3600})
    upstream.wait_until(lambda s: s.in_flight == 1, timeout=10)
    race = Race(upstream, f"{open_to_all}/sim-model", f"{full}/sim-model", random.Random(seed))
    jobs = asyncio.run(_play(race, system, seconds, say))
    api.http.delete(f"{CHAT}/{blocker}")
    return judge(jobs, upstream.calls())


async def _play(race: Race, system: System, seconds: float, say: Say) -> list[Cancelled]:
    jobs: list[Cancelled] = []
    began = time.monotonic()
    async with session(system.url, system.admin_key) as http:
        while not jobs or time.monotonic() - began < seconds:
            kinds = [kind for kind, count in IN_A_ROUND.items() for _ in range(count)]
            made = [Cancelled(kind, f"{kind}-{len(jobs) + n}") for n, kind in enumerate(kinds)]
            await asyncio.gather(*(race.play(http, job) for job in made))
            for job in made:
                found = await fetch(http, job.job_id)
                job.last = Sighting.of(found) if found else None
            jobs += made
            say(_summary(jobs))
    return jobs


class Race:
    """Plays one job after another against one upstream; `full` is a model whose jobs wait."""

    def __init__(self, upstream: Remote, model: str, full: str, chance: random.Random) -> None:
        self._upstream = upstream
        self._model = model
        self._full = full
        self._chance = chance

    async def play(self, http: aiohttp.ClientSession, job: Cancelled) -> None:
        """Submit, cancel when its kind says so, and measure; what fails is written on it."""
        fields: dict[str, Any] = {"background": True, "sim": {"latency": LONG}}
        if job.kind == "streamed":
            fields |= {"stream": True, "sim": {"words": 1000, "every": 0.05}}
        if job.kind == "racing":
            fields["sim"] = {"latency": self._chance.uniform(0, RACE)}
        model = self._full if job.kind == "queued" else self._model
        async with http.post(CHAT, json=chat_body(model, job.mark, **fields)) as answer:
            job.job_id = answer.headers["Location"].rpartition("/")[2]
            await self._when_it_is_time(job)
            await self._cancel(http, job)
            if job.kind == "streamed":
                await answer.read()  # ends with its job
        if job.kind not in ("queued", "racing"):
            job.closed = await self._until(job, lambda calls: calls.closed_early == 1)

    async def _when_it_is_time(self, job: Cancelled) -> None:
        if job.kind == "racing":
            await asyncio.sleep(self._chance.uniform(0, RACE))
        elif job.kind != "queued":
            await self._until(job, lambda calls: calls.in_flight == 1)

    async def _cancel(self, http: aiohttp.ClientSession, job: Cancelled) -> None:
        path, began = f"{CHAT}/{job.job_id}", time.monotonic()
        deleted = job.kind == "deleted"
        call = http.delete(path) if deleted else http.post(f"{path}/cancel")
        async with call as answer:
            document = await answer.json(content_type=None)
        job.took = time.monotonic() - began
        if answer.status != 200:
            job.wrong = f"its cancel was answered {answer.status}: {document}"
        elif not deleted:
            job.end = Sighting.of(document)

    async def _until(self, job: Cancelled, reached: Callable[[Calls], bool]) -> float | None:
        """Seconds until the upstream's count of this job is so; None if it never is."""
        began = time.monotonic()
        while (passed := time.monotonic() - began) < 10 * CLOSED_SECONDS:
            if reached(await asyncio.to_thread(self._upstream.calls_of, job.mark)):
                return passed
            await asyncio.sleep(LOOK)
        job.wrong = f"the upstream has {self._upstream.calls_of(job.mark)}"
        return None


def judge(jobs: Sequence[Cancelled], calls: Mapping[str, Calls]) -> list[Finding]:
    """Ends, times, and what the upstream saw."""
    wrong = Finding("10", "cancels that went wrong")
    slow = Finding("10", f"cancels that took more than {QUEUED_SECONDS:g} s")
    reached = Finding("10", "jobs that were cancelled in the queue and called the upstream")
    open_ = Finding("10", f"calls that were open for more than {CLOSED_SECONDS:g} s")
    changed = Finding("2", "jobs that changed after their end")
    for job in jobs:
        called = calls.get(job.mark, Calls())
        ends = ("cancelled", "completed") if job.kind == "racing" else ("cancelled",)
        if job.wrong or (job.end and job.end.status not in ends):
            wrong.broken.append(f"{job}: {called}")
        if job.took is None or job.took > QUEUED_SECONDS:
            slow.broken.append(f"{job}")
        if job.kind == "queued" and called.begun:
            reached.broken.append(f"{job}: {called}")
        if called.in_flight or (job.closed or 0.0) > CLOSED_SECONDS:
            open_.broken.append(f"{job}: {called}")
        if job.end != job.last:
            changed.broken.append(f"{job}")
    return [wrong, slow, reached, open_, changed]


def _summary(jobs: Sequence[Cancelled]) -> str:
    took = max((job.took for job in jobs if job.took is not None), default=0.0)
    closed = max((job.closed for job in jobs if job.closed is not None), default=0.0)
    won = sum(1 for job in jobs if job.kind == "racing" and job.end and job.end.content)
    races = sum(1 for job in jobs if job.kind == "racing")
    return (
        f"{len(jobs)} jobs; slowest cancel {took:.2f} s, slowest close {closed:.2f} s; "
        f"{won} of {races} races were won by the answer"
    )
