"""Sixty-eight hostile providers and a good one on one system: promises 14 and 15."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from tests.api import CHAT, Api, chat_body
from tests.campaigns.checker import Finding
from tests.campaigns.faults import Say
from tests.campaigns.hostile_judge import CANARY, job_faults, listing_faults, text_faults
from tests.campaigns.hostile_watch import Watch, files_with
from tests.campaigns.load import session
from tests.contract.upstream.hostile_ends import ENDS
from tests.eventually import eventually
from tests.simulators import spawned
from tests.simulators.hostile import HostileRemote, spawned_hostile
from tests.system import System

BOUNDS = {"connect_timeout": 1, "first_byte_timeout": 2, "idle_timeout": 2, "total_timeout": 3}
LATE_SECONDS = 2.0  # over the total timeout
# A job in the queue is ended by the claim loop's next look, which takes up to 1.2 s, and is seen by
# the next re-read of the registry, 1 s later at most.
LATE_WAITING_SECONDS = 4.0
CHECK_SECONDS = 10.0  # a whole check, for all that a provider may set
GOOD_SECONDS = 1.0  # p95 of a chat with the good one, which answers at once
MORE_MEMORY = 64 * 2**20
WARM_UP_CHATS = 20
JOB_SECONDS = 4  # the `timeout` of jobs that may wait
HOW = ("waiting", "background", "plain")
SPACING_SECONDS = 0.01  # between two chats: a burst would measure the registry
DEADLINE = "deadline_exceeded"  # how jobs end that waited for a provider


@dataclass(slots=True)
class Came:
    """What came of one call: `how` it was made, the job's document, the seconds it took."""

    name: str
    how: str
    took: float
    job: Mapping[str, Any]
    text: str


@dataclass(slots=True)
class Collected:
    """All that the campaign saw."""

    chats: list[Came] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    good: list[float] = field(default_factory=list)  # seconds of each chat with the good one
    good_faults: list[str] = field(default_factory=list)
    listings: list[str] = field(default_factory=list)


def run(
    folder: Path, *, seconds: float, seed: int, say: Say, patience: float = 1.0
) -> list[Finding]:
    """Rounds of checks and chats for `seconds`, one at least; `patience` widens the bounds."""
    env = {"DRAGOMAN_OUTBOUND_ALLOW": "loopback", "DRAGOMAN_GRACE_SECONDS": "1"}
    collected, deadline = Collected(), time.monotonic() + seconds
    with ExitStack() as stack:
        hostile = stack.enter_context(spawned_hostile())
        upstream = stack.enter_context(spawned())
        system = stack.enter_context(System(folder / "data", env=env))
        good = system.api.add_provider("good", upstream.url)
        system.api.discovered(good["id"], "ok", 20)
        for _ in range(WARM_UP_CHATS):
            assert system.api.chat("good/sim-model").status_code == 200
        watch = stack.enter_context(Watch(system))
        slugs = {name: _add(system.api, hostile, name) for name in ENDS}
        rounds = 0
        while rounds == 0 or time.monotonic() < deadline:
            rounds += 1
            asyncio.run(_round(system, slugs, collected))
            say(f"round {rounds}: {len(collected.chats)} chats ended; {watch.figures()}")
            _look(system.api, slugs, collected, CHECK_SECONDS * patience)
            if time.monotonic() < deadline:
                for slug in slugs.values():
                    system.api.http.post(f"/v1/providers/{slug}/refresh")
        collected.texts.append(system.api.http.get("/v1/events?limit=100").text)
        findings = [*_findings(collected, patience), *watch.findings(MORE_MEMORY)]
        leaked = Finding("15", "places that hold a provider's key")
        leaked.broken.extend(text[:100] for text in collected.texts if CANARY in text)
        leaked.broken.extend(files_with(CANARY, system.data_dir, system.log))
        say(watch.figures())
        return [*findings, leaked]


def _add(api: Api, hostile: HostileRemote, name: str) -> str:
    """The slug of a hostile provider; its key tells whose it is."""
    options: dict[str, Any] = dict(BOUNDS)
    if name.startswith("tls-"):
        options["ca_certificate"] = hostile.ca_certificate
    key = f"{CANARY}{name}/0123456789+abcdef"
    document = api.add_provider(name, hostile.apart[name], api_key=key, options=options)
    return str(document["slug"])


async def _round(system: System, slugs: Mapping[str, str], collected: Collected) -> None:
    """Chat with all of them in three ways at once, and with the good one all the while."""
    async with session(system.url, system.admin_key) as http:
        ended = asyncio.Event()
        beside = asyncio.create_task(_beside(http, ended, collected))
        kinds = itertools.product(HOW, slugs.items())
        calls = [
            _chat(http, name, slug, how, after=number * SPACING_SECONDS)
            for number, (how, (name, slug)) in enumerate(kinds)
        ]
        try:
            came = await asyncio.gather(*calls)
        finally:
            ended.set()
            await beside
        collected.chats.extend(came)
        collected.texts.extend(one.text for one in came)


async def _chat(http: aiohttp.ClientSession, name: str, slug: str, how: str, after: float) -> Came:
    await asyncio.sleep(after)
    body, headers = chat_body(f"{slug}/any"), {}
    if how != "plain":
        on = {"on_unavailable": "fail"} if how == "background" else {"timeout": JOB_SECONDS}
        body |= {"background": True, "background_options": on}
        headers["Prefer"] = "wait=30"
    began = time.monotonic()
    async with http.post(CHAT, json=body, headers=headers) as answer:
        text = await answer.text()
        document = await answer.json(content_type=None)
    return Came(name, how, time.monotonic() - began, document, text)


async def _beside(http: aiohttp.ClientSession, ended: asyncio.Event, collected: Collected) -> None:
    """What the good provider's callers notice."""
    while not ended.is_set():
        began = time.monotonic()
        async with http.post(CHAT, json=chat_body("good/sim-model")) as answer:
            await answer.read()
            if answer.status != 200:
                collected.good_faults.append(f"a chat ended with {answer.status}")
        collected.good.append(time.monotonic() - began)
        async with http.get("/v1/models?provider=good") as answer:
            listed = [model["id"] for model in (await answer.json())["data"]]
            if "good/sim-model" not in listed:
                collected.good_faults.append(f"lists {listed}")
        await asyncio.sleep(0.05)


def _look(api: Api, slugs: Mapping[str, str], collected: Collected, patience: float) -> None:
    """Wait until all were checked, then compare what discovery says of them."""

    def checked() -> list[dict[str, Any]] | None:
        answer = api.http.get("/v1/providers?limit=100")
        found: list[dict[str, Any]] = answer.json()["data"]
        return found if all(p["discovery"]["checked_at"] for p in found) else None

    try:
        providers = {p["slug"]: p for p in eventually(checked, patience + 5, every=0.25)}
    except TimeoutError:
        collected.listings.append(f"not all were checked within {patience + 5:g} s")
        return
    for name, slug in slugs.items():
        answer = api.http.get("/v1/models", params={"provider": slug})
        ids = [model["id"].removeprefix(f"{slug}/") for model in answer.json()["data"]]
        collected.listings.extend(
            f"{name} {fault}" for fault in listing_faults(name, providers[slug], ids)
        )
        collected.texts += [str(providers[slug]), answer.text]


def _findings(collected: Collected, patience: float) -> list[Finding]:
    longest = BOUNDS["total_timeout"] + LATE_SECONDS * patience
    late = Finding("14", f"calls that took longer than {longest:g} s")
    waited = Finding("14", f"jobs that took longer than their timeout of {JOB_SECONDS} s")
    why = Finding("14", "chats that did not end as they must, or do not say why")
    for came in collected.chats:
        most, finding = (
            (JOB_SECONDS + LATE_WAITING_SECONDS * patience, waited)
            if came.how == "waiting"
            else (longest, late)
        )
        if came.took > most:
            finding.broken.append(f"{came.name}, {came.how}: {came.took:.1f} s")
        allowed: Sequence[str] = (DEADLINE,) if came.how == "waiting" else ()
        faults = [*job_faults(came.name, came.job, allowed), *text_faults(came.text)]
        why.broken.extend(f"{came.name}, {came.how}: {fault}" for fault in faults)
    lists = Finding("14", "checks that did not end as they must, or do not say why")
    lists.broken.extend(collected.listings)
    times = sorted(collected.good)
    p95 = times[int(len(times) * 0.95)]
    good = Finding(
        "14",
        f"harm to the good provider beside them ({len(times)} chats, p50 "
        f"{times[len(times) // 2]:.3f} s, p95 {p95:.3f} s, longest {times[-1]:.3f} s)",
    )
    good.broken.extend(collected.good_faults)
    if p95 > GOOD_SECONDS * patience:
        good.broken.append(f"a p95 beyond {GOOD_SECONDS * patience:g} s")
    return [late, waited, why, lists, good]
