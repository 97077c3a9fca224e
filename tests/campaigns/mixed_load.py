"""All kinds of chats at once, of two owners, with what each showed of the promises.

Kinds: `b` background, `r` background with `on_interrupt: retry`, `p` plain, `s` a foreground
stream, `t` a background stream whose reader drops it and comes back, `i` one Idempotency-Key posted
five times at once, `c` cancelled, `d` deleted. A mark is `<run>-<kind>-<number>`, as in `load`.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp

from tests.api import CHAT, TERMINAL, chat_body
from tests.campaigns import mixed_plays as plays
from tests.campaigns.load import FAILURES, Accepted, Load, Refused, Shape, Sighting, session
from tests.campaigns.readers import Reading
from tests.campaigns.told import SECRET
from tests.simulators import Remote
from tests.simulators.counting import text_of

TIERS: Final = ("auto", "default", "flex", "priority")
HOOKED: Final = 0.5  # of the background jobs
NARROW: Final = 0.25  # of the background jobs: for the provider that takes few at once
WORDS: Final = (10, 60)  # of a stream
EVERY: Final = (0.01, 0.05)  # seconds from word to word
LONG: Final = 30.0  # seconds that a call takes which only its cancel ends
PRY_SECONDS: Final = 0.1
SHAPE: Final = Shape(
    kinds={"b": 5, "r": 2, "p": 3, "s": 4, "t": 4, "i": 2, "c": 3, "d": 2},
    latency=(0.1, 1.5),
    rate=25,
    connections=80,
)
# What nothing ends early: a stream of the most words, slowly spoken, takes longest.
SLOWEST: Final = max(SHAPE.latency[1], WORDS[1] * EVERY[1])


@dataclass(slots=True)
class Chat:
    """One chat and what was seen of it; times in seconds, moments are `time.time()`."""

    kind: str
    mark: str
    owner: str
    text: str  # what its answer must say
    job_id: str = ""
    hooked: bool = False
    readings: list[Reading] = field(default_factory=list)
    job_ids: set[str] = field(default_factory=set)  # of all answers to one Idempotency-Key
    ended_at: float | None = None  # when its cancel or delete was answered
    took: float | None = None  # how long that answer took
    closed: float | None = None  # from then until its call was closed
    gone: bool = False  # its delete was answered 200
    refused: tuple[float, str] | None = None  # when and with what its submission was answered
    wrong: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Scene:
    """What the chats are played on. `keys` are the owners' by their names."""

    url: str
    admin_key: str
    keys: Mapping[str, str]
    model: str
    narrow: str
    hook: str
    upstream: Remote


class MixedLoad(Load):
    """Runs like `Load`; `chats` and `pried` may be read once it has stopped."""

    pry_seconds = PRY_SECONDS

    def __init__(self, scene: Scene, *, run: str, seed: int, shape: Shape = SHAPE) -> None:
        super().__init__(scene.url, scene.admin_key, scene.model, run=run, shape=shape, seed=seed)
        self.scene = scene
        self.chats: list[Chat] = []
        self.pried = 0  # requests for the other owner's jobs
        self.seen_by_others: list[str] = []  # those that were answered with anything but a 404
        self.dice = random.Random(seed + 1)
        self._homes: dict[str, aiohttp.ClientSession] = {}

    async def _main(self) -> None:
        async with AsyncExitStack() as stack:
            for owner, key in self.scene.keys.items():
                opened = session(self.scene.url, key)
                self._homes[owner] = await stack.enter_async_context(opened)
            await asyncio.gather(super()._main(), self._pry())

    async def _one(self, http: aiohttp.ClientSession, kind: str, mark: str) -> None:
        del http
        owner = self.dice.choice(list(self._homes))
        chat = Chat(kind, mark, owner, f"answer to {mark}")
        self.chats.append(chat)
        await plays.PLAYS[kind](self, self._homes[owner], chat)

    def body(self, chat: Chat, **fields: Any) -> dict[str, Any]:
        """A request of this kind."""
        latency = self.dice.uniform(*self._shape.latency)
        sim: dict[str, Any] = {"latency": latency}
        options: dict[str, Any] = {}
        if chat.kind in "st":
            words = self.dice.randint(*WORDS)
            chat.text = text_of(words, chat.mark)
            sim = {"words": words, "marked": True, "every": self.dice.uniform(*EVERY)}
            fields |= {"stream": True, "stream_options": {"include_usage": words % 2 == 0}}
        if chat.kind in "cd" and latency > sum(self._shape.latency) / 2:
            sim = {"latency": LONG}
        if chat.kind not in "ps":
            fields["background"] = True
            chat.hooked = self.dice.random() < HOOKED
        if chat.kind == "r":
            options["on_interrupt"] = "retry"
        if chat.hooked:
            options["webhook"] = {"url": self.scene.hook, "secret": SECRET}
        if options:
            fields["background_options"] = options
        narrow = chat.kind in "brcd" and self.dice.random() < NARROW
        model = self.scene.narrow if narrow and sim["latency"] != LONG else self.scene.model
        tier = self.dice.choice(TIERS)
        return chat_body(model, chat.mark, sim=sim, service_tier=tier, **fields)

    def accept(self, chat: Chat, job_id: str, *, at: float, took: float) -> None:
        """The job of this chat is durable."""
        chat.job_id = job_id
        entry = Accepted(job_id, chat.mark, at, took)
        (self.plain if chat.kind in "psi" else self.accepted).append(entry)

    def refuse(self, chat: Chat, *, at: float, why: str) -> None:
        """No job is known of this chat, whose submission began at this moment."""
        chat.refused = (time.time(), why)
        self.refused.append(Refused(chat.mark, at, why))

    def see(self, job: Mapping[str, Any]) -> None:
        """Note the end of a job, if it has ended."""
        if job["status"] in TERMINAL:
            self.first_seen.setdefault(job["id"], Sighting.of(job))

    def replayable(self) -> list[str]:
        """The jobs whose streams can be read again once all has ended."""
        return [chat.job_id for chat in self.chats if chat.readings]

    async def _pry(self) -> None:
        """Ask for jobs with the key of the owner whose they are not."""
        while not self._stopping.is_set():
            await asyncio.sleep(self.pry_seconds)
            if not (known := [chat for chat in self.chats[-200:] if chat.job_id]):
                continue
            chat = self.dice.choice(known)
            (other,) = (home for owner, home in self._homes.items() if owner != chat.owner)
            method, tail = self.dice.choice(_ROUTES)
            sent = (method, tail) == ("POST", "")
            body: dict[str, Any] | None = {"metadata": {}} if sent else None
            try:
                path = f"{CHAT}/{chat.job_id}{tail}"
                async with other.request(method, path, json=body) as answer:
                    status, text = answer.status, await answer.text()
            except FAILURES:
                continue
            self.pried += 1
            if status not in (404, 503):
                self.seen_by_others.append(f"{method} {chat.job_id}{tail}: {status} {text[:200]}")


_ROUTES: Final = (
    ("GET", ""),
    ("GET", "?stream=true"),
    ("GET", "/messages"),
    ("GET", "/attempts"),
    ("POST", ""),
    ("POST", "/cancel"),
    ("DELETE", ""),
)
