"""Everything at once, under orderly restarts, then under faults: promises 1 to 6, 8 to 10, 12, 17.

Two owners' chats of every kind run for the whole time. In the first quarter workers and registry
are restarted in order, which may interrupt nothing; then they are killed and frozen, Valkey is
stopped, wiped and frozen, and a poison job kills each worker that runs it.
"""

from __future__ import annotations

import asyncio
import random
import signal
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Final

import psutil

from tests.campaigns.checker import Finding
from tests.campaigns.faults import Fault, Faults, Injector, Menu, Say
from tests.campaigns.faults_campaign import NOTICE_SECONDS, noticed
from tests.campaigns.jobtable import JobTable
from tests.campaigns.load import session
from tests.campaigns.mixed_judge import Played, judge
from tests.campaigns.mixed_load import SLOWEST, MixedLoad, Scene
from tests.campaigns.poison_campaign import poisoned
from tests.campaigns.readers import Reading, follow
from tests.campaigns.rolling_campaign import goes_on
from tests.campaigns.stage import Stage, stage
from tests.campaigns.told import Told
from tests.eventually import eventually
from tests.simulators import Remote, running
from tests.system import System

CALM: Final = 0.3  # of the time
PAUSE_SECONDS: Final = 1.5  # mean, between two faults
OWNERS: Final = ("ann", "bob")
NARROW: Final = 6  # calls that the narrow provider takes at once
REPLAYS: Final = 150
RESUMED_SECONDS: Final = 30.0
REGISTRIES: Final = 2
TOLD_SECONDS: Final = 80.0  # a killed worker's claim of a delivery ends after 60 s


def run(
    folder: Path,
    *,
    seconds: float,
    seed: int,
    say: Say,
    patience: float = 1.0,
    told_within: float = TOLD_SECONDS,
) -> list[Finding]:
    """Load and faults for `seconds`, then everything must end.

    `patience` stretches what must be quick. Webhooks that are not told within `told_within` seconds
    break a promise only if that is long enough for those that a killed worker had claimed.
    """
    env = {"DRAGOMAN_REGISTRY_WORKERS": str(REGISTRIES)}
    with running(Told()) as receiver, stage(folder, env=env) as setting:
        assert isinstance(receiver.simulator, Told)
        played_on = scene(setting.system, setting.upstream, setting.model, hook=receiver.url)
        load = MixedLoad(played_on, run=f"m{seed}", seed=seed)
        load.start()
        injector = Injector(
            _menu(setting, random.Random(seed)),
            dice=random.Random(seed),
            pause=PAUSE_SECONDS,
            say=say,
            in_turn=True,
        )
        kills: list[Fault] = []
        began = time.monotonic()
        try:
            restarts = _restart(setting, until=began + CALM * seconds, say=say)
            calm_until = time.time()
            stopped = _break(setting, injector, kills, until=began + seconds, say=say)
        finally:
            load.stop()
        played = finish(setting.system, load, receiver.simulator, say, told_within=told_within)
        played.faults = [*restarts, *injector.faults, *kills]
        played.calm_until, played.patience = calm_until, patience
        say(summary(played))
        made = Finding("-", "faults that could not be made, or webhooks that nobody may send")
        made.broken += receiver.simulator.wrong
        if injector.error is not None:
            made.broken.append(repr(injector.error))
        table = JobTable(setting.system.database_url)
        noticed_late = noticed(table, SLOWEST)
        return [*judge(played), noticed_late, stopped, resumed(setting), made]


def scene(system: System, upstream: Remote, model: str, *, hook: str) -> Scene:
    """Two owners, a provider that takes few calls at once, and one that takes many (`model`)."""
    api = system.api
    narrow = api.add_provider("narrow", upstream.url, options={"max_concurrency": NARROW})
    keys = {}
    for owner in OWNERS:
        answer = api.http.post("/v1/keys", json={"name": owner, "owner": owner})
        keys[owner] = answer.raise_for_status().json()["key"]
    return Scene(
        url=system.url,
        admin_key=system.admin_key,
        keys=keys,
        model=model,
        narrow=f"{narrow['slug']}/sim-model",
        hook=hook,
        upstream=upstream,
    )


def _restart(setting: Stage, *, until: float, say: Say) -> list[Fault]:
    """SIGTERM one process after another, as a deploy does, each once at least."""
    system, extra = setting.system, setting.extra
    assert extra is not None
    made: list[Fault] = []
    while len(made) < 3 or time.monotonic() < until:
        name = ("chat-worker", "second chat-worker", "registry")[len(made) % 3]
        at = time.time()
        if name == "second chat-worker":
            extra.replace(signal.SIGTERM)
        else:
            system.restarted(name, system.signal(name, signal.SIGTERM))
        setting.system.api.healthy(60)
        goes_on(setting.upstream)
        made.append(Fault(f"restart {name}", at, time.time()))
        say(f"restart {len(made)}: {name}")
    return made


def _menu(setting: Stage, dice: random.Random) -> Menu:
    known = Faults(setting, dice).menu()
    names = ("kill chat-worker", "kill second chat-worker", "kill registry", "freeze chat-worker")
    valkey = ("flush valkey", "stop and wipe valkey", "freeze valkey")
    menu = {name: known[name] for name in (*names, *valkey)}
    return {**menu, "kill one of the registries": (2, lambda: _kill_one(setting, dice))}


def _kill_one(setting: Stage, dice: random.Random) -> str:
    """A process that serves, not the arbiter, which starts another."""
    try:
        chosen = dice.choice(setting.system.process("registry").children())
        chosen.kill()
    except (IndexError, psutil.NoSuchProcess):
        return "(none serves)"
    return f"({chosen.pid})"


def _break(
    setting: Stage, injector: Injector, kills: list[Fault], *, until: float, say: Say
) -> Finding:
    """Faults and poison side by side; `kills` are those of the poison."""
    finding = Finding("8", "poison jobs that did not end as poisoned")

    def killed() -> None:
        kills.append(Fault("kill by poison", time.time(), time.time()))

    def poison() -> None:
        number = 0
        while number == 0 or time.monotonic() < until - 30:
            number += 1
            mark = f"poison-r-{number}"
            if (broken := poisoned(setting, mark, say, on_kill=killed)) is not None:
                finding.broken.append(broken)

    thread = threading.Thread(target=poison, name="poison")
    thread.start()
    injector.start()
    try:
        while (left := until - time.monotonic()) > 0 and injector.error is None:
            time.sleep(min(left, 5))
    finally:
        injector.stop()
        thread.join()
    return finding


def finish(
    system: System, load: MixedLoad, receiver: Told, say: Say, *, told_within: float
) -> Played:
    """What is left once the stopped load has ended; a caller adds the faults it made."""
    table = JobTable(system.database_url)
    began = time.monotonic()
    try:
        eventually(lambda: table.live() == 0, NOTICE_SECONDS + SLOWEST + 20, every=0.2)
        say(f"all had ended {time.monotonic() - began:.1f} s after the load")
        eventually(lambda: table.undelivered() == 0, told_within, every=0.2)
        say(f"all webhooks were told {time.monotonic() - began:.1f} s after the load")
    except TimeoutError as late:
        say(f"{late}; {table.live()} live jobs, {table.undelivered()} webhooks not told")
    system.api.healthy(60)
    return Played(
        chats=load.chats,
        accepted=[*load.accepted, *load.plain],
        refused=load.refused,
        first_seen=load.first_seen,
        jobs=load.collect(),
        calls=load.scene.upstream.calls(),
        live_rows=table.live(),
        faults=(),
        calm_until=0.0,
        replays=asyncio.run(_replayed(load, load.replayable()[:REPLAYS])),
        told=receiver.told,
        lists={owner: asyncio.run(_listed(load, key)) for owner, key in load.scene.keys.items()},
        pried=load.pried,
        seen_by_others=load.seen_by_others,
        all_told=told_within >= TOLD_SECONDS,
    )


def resumed(setting: Stage) -> Finding:
    """Whoever is told by Valkey only is told again: a new provider's models are looked at."""
    finding = Finding("6", f"what did not resume within {RESUMED_SECONDS:g} s")
    provider = setting.system.api.add_provider("after all", setting.upstream.url)
    try:
        setting.system.api.discovered(provider["id"], "ok", RESUMED_SECONDS)
    except TimeoutError as late:
        finding.broken.append(f"discovery: {late}")
    return finding


async def _replayed(load: MixedLoad, job_ids: list[str]) -> dict[str, Reading]:
    replays = {job_id: Reading() for job_id in job_ids}
    async with session(load.scene.url, load.scene.admin_key) as http:
        for job_id, reading in replays.items():
            await follow(http, job_id, reading)
    return replays


async def _listed(load: MixedLoad, key: str) -> set[str]:
    """Every id on the pages of one owner's list."""
    shown: set[str] = set()
    path = "/v1/chat/completions?limit=100"
    async with session(load.scene.url, key) as http:
        after = ""
        while True:
            async with http.get(path + after) as answer:
                page = await answer.json()
            shown |= {job["id"] for job in page["data"]}
            if not page["has_more"]:
                return shown
            after = f"&after={page['last_id']}"


def summary(played: Played) -> str:
    """What was played and how it ended, in a line."""
    ended = Counter(
        "gone" if job is None else (job["error"] or {}).get("code") or job["status"]
        for job in played.jobs.values()
    )
    refused = Counter(entry.why for entry in played.refused)
    kinds = Counter(chat.kind for chat in played.chats if chat.job_id)
    drops = sum(reading.drops for chat in played.chats for reading in chat.readings)
    return (
        f"{len(played.accepted)} accepted {dict(kinds)}, refused {dict(refused)}, ended "
        f"{dict(ended)}; {len(played.faults)} faults; {drops} streams were cut; "
        f"{sum(map(len, played.told.values()))} webhooks; {played.pried} looks at another's jobs"
    )
