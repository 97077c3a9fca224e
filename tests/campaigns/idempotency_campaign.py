"""Fifty posts at once with each key, some of which hang up: promise 12.

The keys make background jobs, plain calls and streams. The posts of one key go to several processes
of the registry.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import aiohttp

from tests.api import CHAT, chat_body
from tests.campaigns.checker import Finding
from tests.campaigns.faults import Say
from tests.campaigns.load import FAILURES, session
from tests.campaigns.stage import stage
from tests.simulators import Calls, Remote
from tests.system import System

POSTS: Final = 50  # with each key
KEYS_AT_ONCE: Final = 4
KEYS_IN_A_ROUND: Final = 200
KEYS_AT_LEAST: Final = 8
HANG_UP: Final = 0.1  # of the posts
FORMS: Final[Mapping[str, dict[str, Any]]] = {
    "background": {"background": True},
    "plain": {},
    "stream": {"stream": True},
}


@dataclass(slots=True)
class Key:
    """What came of one key. `codes` are those of answers that named no job."""

    key: str
    form: str
    jobs: set[str] = field(default_factory=set)
    codes: set[str] = field(default_factory=set)
    first: int = 0  # answers that were no replays
    hung_up: int = 0
    later: str | None = None  # what was wrong with the posts after the end


def run(folder: Path, *, seconds: float, seed: int, say: Say) -> list[Finding]:
    """Rounds of keys until `seconds` are over, on a system of two registry processes."""
    with stage(folder, env={"DRAGOMAN_REGISTRY_WORKERS": "2"}, second_worker=False) as setting:
        system, upstream = setting.system, setting.upstream
        return play(system, [system.url], upstream, seconds=seconds, seed=seed, say=say)


def play(
    system: System,
    urls: Sequence[str],
    upstream: Remote,
    *,
    seconds: float,
    seed: int,
    say: Say,
) -> list[Finding]:
    """Rounds of keys until `seconds` are over, eight keys at least; `urls` of its registries."""
    slug = system.api.add_provider("idempotency", upstream.url)["slug"]
    work = _play(urls, system.admin_key, f"{slug}/sim-model", seconds, random.Random(seed), say)
    return judge(asyncio.run(work), upstream.calls())


async def _play(
    urls: Sequence[str], secret: str, model: str, seconds: float, chance: random.Random, say: Say
) -> list[Key]:
    keys: list[Key] = []
    began = time.monotonic()
    async with AsyncExitStack() as stack:
        places = [await stack.enter_async_context(session(url, secret)) for url in urls]
        while len(keys) < KEYS_AT_LEAST or time.monotonic() - began < seconds:
            made = [
                Key(f"key-{len(keys) + number}", chance.choice(list(FORMS)))
                for number in range(KEYS_AT_ONCE)
            ]
            await asyncio.gather(*(_one(places, model, key, chance) for key in made))
            keys += made
            if len(keys) % KEYS_IN_A_ROUND < KEYS_AT_ONCE:
                say(f"{len(keys)} keys, {len(keys) * POSTS} posts")
    return keys


async def _one(
    places: Sequence[aiohttp.ClientSession], model: str, key: Key, chance: random.Random
) -> None:
    sim = {"latency": chance.uniform(0.0, 0.3)}
    body = chat_body(model, key.key, sim=sim, **FORMS[key.form])
    patience = [
        chance.uniform(0.0, 0.1) if chance.random() < HANG_UP else 60.0 for _ in range(POSTS)
    ]
    patience[chance.randrange(POSTS)] = 60.0
    posts = [_post(chance.choice(places), body, key, seconds) for seconds in patience]
    await asyncio.gather(*posts)
    key.later = await _afterwards(places[0], body, key)


async def _post(
    http: aiohttp.ClientSession, body: Mapping[str, Any], key: Key, seconds: float
) -> None:
    try:
        async with asyncio.timeout(seconds):
            status, headers, text = await _sent(http, body, key)
    except TimeoutError:
        key.hung_up += 1
        return
    except FAILURES as problem:
        key.codes.add(type(problem).__name__)
        return
    job_id = _job_of(text)
    if status in (200, 202) and job_id:
        key.jobs.add(job_id)
        key.first += headers.get("Idempotent-Replayed") != "true"
    else:
        key.codes.add(f"{status} {text[:200]}")


async def _sent(
    http: aiohttp.ClientSession, body: Mapping[str, Any], key: Key
) -> tuple[int, Mapping[str, str], str]:
    headers = {"Idempotency-Key": key.key}
    async with http.post(CHAT, json=body, headers=headers) as answer:
        return answer.status, answer.headers, await answer.text()


async def _afterwards(http: aiohttp.ClientSession, body: Mapping[str, Any], key: Key) -> str | None:
    """What is wrong with a replay after the end, and with another body under the same key."""
    (job_id, *_) = key.jobs or {"(none)"}
    async with http.get(f"{CHAT}/{job_id}", headers={"Prefer": "wait=20"}) as answer:
        job = await answer.json(content_type=None)
    if job.get("status") != "completed":
        return f"the job is {job.get('status')}: {job.get('error')}"
    status, headers, text = await _sent(http, body, key)
    if (status, headers.get("Idempotent-Replayed"), _job_of(text)) != (200, "true", job_id):
        return f"a replay after the end is answered {status} {text[:200]}"
    if f"answer to {key.key}" not in _said(text):
        return f"a replay after the end says {text[:500]}"
    status, _, text = await _sent(http, {**body, "seed": 1}, key)
    if status != 422:
        return f"another body is answered {status} {text[:200]}"
    return None


def _job_of(text: str) -> str | None:
    """The id of the job that an answer is about, whatever its form."""
    documents = _documents(text)
    return documents[0].get("id") if documents else None


def _said(text: str) -> str:
    choices = [choice for one in _documents(text) for choice in one.get("choices") or ()]
    return "".join(
        (choice.get("message") or choice.get("delta") or {}).get("content") or ""
        for choice in choices
    )


def _documents(text: str) -> list[dict[str, Any]]:
    lines = [text]
    if text.startswith("data: "):
        frames = text.split("\n\n")
        lines = [line[6:] for line in frames if line.startswith("data: {")]
    return [json.loads(line) for line in lines]


def judge(keys: Sequence[Key], calls: Mapping[str, Calls]) -> list[Finding]:
    """One job, one call and one first answer for each key, and its replays afterwards."""
    several = Finding("12", "keys with more or less than one job")
    paid = Finding("12", "keys that were called more or less than once")
    refused = Finding("12", "posts that were answered with no job")
    first = Finding("12", "keys of which several answers were no replays")
    later = Finding("12", "keys whose replays after the end are not the job")
    for key in keys:
        if len(key.jobs) != 1:
            several.broken.append(f"{key}")
        if (called := calls.get(key.key)) is None or called.begun != 1:
            paid.broken.append(f"{key}: {called}")
        if key.codes:
            refused.broken.append(f"{key}")
        if key.first > 1:
            first.broken.append(f"{key}")
        if key.later:
            later.broken.append(f"{key}")
    return [several, paid, refused, first, later]
