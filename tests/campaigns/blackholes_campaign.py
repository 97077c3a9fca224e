"""Fifty providers, ten of them black holes: promise 21."""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from tests import simulators as sims
from tests.api import Api
from tests.campaigns.checker import Finding
from tests.campaigns.faults import Say
from tests.eventually import eventually
from tests.simulators import Mode, Running, Simulator, running, unaccepting
from tests.system import System

GOOD, SILENT, UNACCEPTING = 40, 5, 5
INTERVAL = 2.0  # seconds between two checks of a provider, ± 10 %
# `checked_at` is in whole seconds, a due check begins at the worker's next look (1.2 s at most).
AGE_SLACK = 3.0
READ_SECONDS = 0.1  # p95
CHAT_SECONDS = 1.0  # p95; the simulators answer at once
REFRESH_SECONDS = 5.0  # the longest
ASKED_TO_REFRESH = 5  # the first so many; the others are left to the schedule
READS_IN_A_ROW, PAUSE_SECONDS = 5, 0.1
FIRST_LISTS_SECONDS = 20.0
KINDS: Sequence[Callable[[], Simulator]] = (
    *(sims.vllm, sims.ollama, sims.tgi, sims.llama_cpp),
    *(sims.lm_studio, sims.openrouter, sims.together, sims.groq),
)


@dataclass(slots=True)
class Measured:
    """What was seen while the holes were there; times in seconds."""

    reads: list[float] = field(default_factory=list)
    chats: list[float] = field(default_factory=list)
    refreshes: list[float] = field(default_factory=list)
    ages: list[float] = field(default_factory=list)  # the oldest check of a good one, each time
    stale: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Field:
    """The providers: slug → a model of each good one, slug → its server, slugs of the holes."""

    good: dict[str, str]
    servers: dict[str, Running]
    holes: Sequence[str]


def run(
    folder: Path, *, seconds: float, seed: int, say: Say, patience: float = 1.0
) -> list[Finding]:
    """Read lists and chat for `seconds` beside the holes; every bound is taken `patience` times."""
    dice = random.Random(seed)
    env = {"DRAGOMAN_DISCOVERY_INTERVAL": f"{INTERVAL:g}", "DRAGOMAN_GRACE_SECONDS": "1"}
    with System(folder / "data", env=env) as system, _field(system.api) as providers:
        api, measured = system.api, Measured()
        began = time.monotonic()
        eventually(lambda: _all_listed(api, providers), FIRST_LISTS_SECONDS * patience)
        say(f"{len(providers.good)} lists were there {time.monotonic() - began:.1f} s after all")
        for slug in providers.holes:  # calls that nobody will answer
            api.submit(f"{slug}/sim-model")
        oldest = INTERVAL * 1.1 + AGE_SLACK * patience
        report_at = time.monotonic() + 10
        deadline = time.monotonic() + seconds
        while True:
            for _ in range(READS_IN_A_ROW):
                _read(api, providers, measured, oldest)
            _chat(api, dice.choice(list(providers.good.values())), measured)
            _refresh(api, dice.choice(list(providers.good)[:ASKED_TO_REFRESH]), measured)
            # Else their backoff would soon leave them alone.
            api.http.post(f"/v1/providers/{dice.choice(providers.holes)}/refresh")
            if time.monotonic() > report_at:
                report_at += 60
                say(_figures(measured))
            if time.monotonic() > deadline:
                break
            time.sleep(PAUSE_SECONDS)
        say(_figures(measured))
        measured.stale.extend(_never_refreshed(providers, oldest))
    return _findings(measured, oldest, patience)


@contextmanager
def _field(api: Api) -> Iterator[Field]:
    """All of them registered, in an order that mixes holes with the others."""
    with ExitStack() as stack:
        good, servers, holes = {}, {}, []
        silent = iter([_silent(stack) for _ in range(SILENT)])
        walls = iter([stack.enter_context(unaccepting()) for _ in range(UNACCEPTING)])
        kinds = itertools.cycle(KINDS)
        for number in range(GOOD):
            sim = stack.enter_context(running(next(kinds)()))
            slug = api.add_provider(f"good {number}", sim.endpoint)["slug"]
            good[slug], servers[slug] = f"{slug}/{sim.simulator.models[0]}", sim
            if number % 4 == 0:
                url = next(silent, None) or next(walls)
                holes.append(api.add_provider(f"hole {number}", url)["slug"])
        yield Field(good, servers, holes)


def _silent(stack: ExitStack) -> str:
    hole = sims.vllm()
    hole.modes = {"chat": Mode.SILENT, "models": Mode.SILENT}
    sim: Running = stack.enter_context(running(hole))
    return sim.url


def _all_listed(api: Api, providers: Field) -> bool:
    found = {p["slug"]: p["discovery"]["status"] for p in _providers(api)}
    return all(found[slug] == "ok" for slug in providers.good)


def _providers(api: Api) -> list[dict[str, Any]]:
    data: list[dict[str, Any]] = api.http.get("/v1/providers?limit=100").json()["data"]
    return data


def _timed(times: list[float], call: Callable[[], httpx.Response]) -> httpx.Response:
    began = time.monotonic()
    answer = call()
    times.append(time.monotonic() - began)
    return answer


def _read(api: Api, providers: Field, measured: Measured, oldest: float) -> None:
    """Both lists once, and what they say of the good ones."""
    answer = _timed(measured.reads, lambda: api.http.get("/v1/providers?limit=100"))
    now, ages = time.time(), []
    for provider in answer.json()["data"]:
        slug, discovery = provider["slug"], provider["discovery"]
        if slug in providers.holes:
            if discovery["status"] not in ("pending", "unreachable"):
                measured.wrong.append(f"{slug} is {discovery['status']}")
            continue
        ages.append(age := now - discovery["checked_at"])
        if discovery["status"] != "ok":
            measured.wrong.append(f"{slug} is {discovery['status']}: {discovery['error']}")
        if age > oldest:
            measured.stale.append(f"{slug} was last checked {age:.1f} s ago")
    measured.ages.append(max(ages))
    answer = _timed(measured.reads, lambda: api.http.get("/v1/models"))
    missing = set(providers.good.values()) - {entry["id"] for entry in answer.json()["data"]}
    measured.wrong.extend(f"{model} is not listed" for model in missing)


def _chat(api: Api, model: str, measured: Measured) -> None:
    answer = _timed(measured.chats, lambda: api.chat(model))
    if answer.status_code != 200:
        measured.wrong.append(f"{model}: {answer.text}")


def _refresh(api: Api, slug: str, measured: Measured) -> None:
    url, headers = f"/v1/providers/{slug}/refresh", {"Prefer": "wait=10"}
    answer = _timed(measured.refreshes, lambda: api.http.post(url, headers=headers))
    if answer.status_code != 200:
        measured.wrong.append(f"refresh of {slug}: {answer.status_code} {answer.text}")


def _never_refreshed(providers: Field, timeout: float) -> list[str]:
    """Whose list was asked for only once, even `timeout` seconds from now: for short runs."""

    def left() -> list[str]:
        return [slug for slug, sim in providers.servers.items() if sim.stats().model_lists < 2]

    try:
        eventually(lambda: not left(), timeout)
    except TimeoutError:
        return [f"{slug} was asked once" for slug in left()]
    return []


def _p95(times: Sequence[float]) -> float:
    return sorted(times)[int(len(times) * 0.95)] if times else float("inf")


def _figures(measured: Measured) -> str:
    return (
        f"{len(measured.reads)} reads, p50 {sorted(measured.reads)[len(measured.reads) // 2]:.3f} "
        f"p95 {_p95(measured.reads):.3f} s; {len(measured.chats)} chats, p95 "
        f"{_p95(measured.chats):.3f} s; {len(measured.refreshes)} refreshes, longest "
        f"{max(measured.refreshes):.3f} s; oldest check of a good one {max(measured.ages):.1f} s"
    )


def _findings(measured: Measured, oldest: float, patience: float) -> list[Finding]:
    reads = Finding("21", f"list reads beyond {READ_SECONDS * patience:g} s at p95")
    if _p95(measured.reads) > READ_SECONDS * patience:
        reads.broken.append(_figures(measured))
    chats = Finding("21", f"chats with good ones beyond {CHAT_SECONDS * patience:g} s at p95")
    if _p95(measured.chats) > CHAT_SECONDS * patience:
        chats.broken.append(_figures(measured))
    refreshes = Finding("21", f"refreshes of good ones beyond {REFRESH_SECONDS * patience:g} s")
    slow = [took for took in measured.refreshes if took > REFRESH_SECONDS * patience]
    refreshes.broken.extend(f"{took:.1f} s" for took in sorted(slow, reverse=True))
    stale = Finding("21", f"good providers whose check was older than {oldest:.1f} s")
    stale.broken.extend(measured.stale)
    wrong = Finding("-", "good ones not listed or not answering, holes that seem to live")
    wrong.broken.extend(measured.wrong)
    return [reads, chats, refreshes, stale, wrong]
