"""Sixty-nine hostile providers and a good one on one system: promises 14 and 15."""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import aiohttp

from tests.api import CHAT, Api, chat_body
from tests.campaigns.checker import Finding
from tests.campaigns.faults import Say
from tests.campaigns.hostile_judge import CANARY
from tests.campaigns.hostile_report import WAITING, Came, Report
from tests.campaigns.hostile_watch import Watch, files_with
from tests.campaigns.load import session
from tests.contract.upstream.hostile_ends import ENDS
from tests.eventually import eventually
from tests.simulators import spawned
from tests.simulators.hostile import HostileRemote, spawned_hostile
from tests.system import System

BOUNDS = {"connect_timeout": 1, "first_byte_timeout": 2, "idle_timeout": 2, "total_timeout": 3}
LATE_SECONDS = 2.0  # over the total timeout
JOB_SECONDS = 4  # the `timeout` of jobs that may wait
# A job in the queue is ended by the claim loop's next look, which takes up to 1.2 s, and is seen by
# the next re-read of the registry, 1 s later at most.
LATE_WAITING_SECONDS = 4.0
CHECK_SECONDS = 10.0  # a whole check, for all that a provider may set
GOOD_SECONDS = 1.0  # p95 of a chat with the good one, which answers at once
MORE_MEMORY = 64 * 2**20
WARM_UP_CHATS = 20
HOW = (WAITING, "background", "plain")
SPACING_SECONDS = 0.01  # between two chats: a burst would measure the registry


def run(
    folder: Path, *, seconds: float, seed: int, say: Say, patience: float = 1.0
) -> list[Finding]:
    """Rounds of checks and chats for `seconds`, one at least; `patience` widens the bounds."""
    env = {"DRAGOMAN_OUTBOUND_ALLOW": "loopback", "DRAGOMAN_GRACE_SECONDS": "1"}
    report = Report(
        call=BOUNDS["total_timeout"] + LATE_SECONDS * patience,
        waiting=JOB_SECONDS + LATE_WAITING_SECONDS * patience,
        good=GOOD_SECONDS * patience,
    )
    dice, deadline = random.Random(seed), time.monotonic() + seconds
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
        for number in itertools.count(1):
            asyncio.run(_round(system, slugs, dice, report))
            _look(system.api, slugs, report, (CHECK_SECONDS + 5) * patience)
            say(f"round {number}: {report.chats} chats ended; {watch.figures()}")
            if time.monotonic() > deadline:
                break
            for slug in slugs.values():
                system.api.http.post(f"/v1/providers/{slug}/refresh")
        report.text(system.api.http.get("/v1/events?limit=100").text)
        report.leaks([*files_with(CANARY, system.data_dir, system.log)])
        return [*report.findings(), *watch.findings(MORE_MEMORY)]


def _add(api: Api, hostile: HostileRemote, name: str) -> str:
    """The slug of a hostile provider; its key tells whose it is."""
    options: dict[str, Any] = dict(BOUNDS)
    if name.startswith("tls-"):
        options["ca_certificate"] = hostile.ca_certificate
    key = f"{CANARY}{name}/0123456789+abcdef"
    document = api.add_provider(name, hostile.apart[name], api_key=key, options=options)
    return str(document["slug"])


async def _round(
    system: System, slugs: Mapping[str, str], dice: random.Random, report: Report
) -> None:
    """Chat with all of them in three ways, in any order, and with the good one all the while."""
    async with session(system.url, system.admin_key) as http:
        ended = asyncio.Event()
        beside = asyncio.create_task(_beside(http, ended, report))
        kinds = list(itertools.product(HOW, slugs.items()))
        dice.shuffle(kinds)
        calls = [
            _chat(http, name, slug, how, after=number * SPACING_SECONDS)
            for number, (how, (name, slug)) in enumerate(kinds)
        ]
        try:
            for came in await asyncio.gather(*calls):
                report.chat(came)
        finally:
            ended.set()
            await beside


async def _chat(http: aiohttp.ClientSession, name: str, slug: str, how: str, after: float) -> Came:
    await asyncio.sleep(after)
    body, headers = chat_body(f"{slug}/any"), {}
    if how != "plain":
        on = {"timeout": JOB_SECONDS} if how == WAITING else {"on_unavailable": "fail"}
        body |= {"background": True, "background_options": on}
        headers["Prefer"] = "wait=30"
    began = time.monotonic()
    async with http.post(CHAT, json=body, headers=headers) as answer:
        text = await answer.text()
        document = await answer.json(content_type=None)
    return Came(name, how, time.monotonic() - began, document, text)


async def _beside(http: aiohttp.ClientSession, ended: asyncio.Event, report: Report) -> None:
    """What the good provider's callers notice."""
    while not ended.is_set():
        faults = []
        began = time.monotonic()
        async with http.post(CHAT, json=chat_body("good/sim-model")) as answer:
            await answer.read()
            if answer.status != 200:
                faults.append(f"a chat ended with {answer.status}")
        took = time.monotonic() - began
        async with http.get("/v1/models?provider=good") as answer:
            listed = [model["id"] for model in (await answer.json())["data"]]
            if "good/sim-model" not in listed:
                faults.append(f"lists {listed}")
        report.good(took, *faults)
        await asyncio.sleep(0.05)


def _look(api: Api, slugs: Mapping[str, str], report: Report, timeout: float) -> None:
    """Wait until all were checked, then compare what discovery says of them."""

    def checked() -> list[dict[str, Any]] | None:
        answer = api.http.get("/v1/providers?limit=100")
        found: list[dict[str, Any]] = answer.json()["data"]
        report.text(answer.text)
        return found if all(p["discovery"]["checked_at"] for p in found) else None

    try:
        providers = {p["slug"]: p for p in eventually(checked, timeout, every=0.25)}
    except TimeoutError:
        report.unchecked(f"not all were checked within {timeout:g} s")
        return
    for name, slug in slugs.items():
        answer = api.http.get("/v1/models", params={"provider": slug})
        ids = [model["id"].removeprefix(f"{slug}/") for model in answer.json()["data"]]
        report.listing(name, providers[slug], ids)
        report.text(answer.text)
