"""The mixed load as an hour bears it: few chats a second, each of them looked at when it ends.

With the ordinary settings a plain call is forgotten ten minutes after its end, so what it became is
noted at once. Besides the kinds of the mixed load: `f` asks its provider to fail.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Mapping
from typing import Any, Final

import aiohttp

from tests.api import CHAT, TERMINAL
from tests.campaigns.checker import Finding
from tests.campaigns.load import FAILURES, Shape
from tests.campaigns.load import collect as collected
from tests.campaigns.mixed_load import Chat, MixedLoad, Scene

RATE: Final = 2.0  # chats a second: with all that is read of them about seven requests
SHAPE: Final = Shape(
    kinds={"b": 5, "r": 1, "p": 4, "s": 3, "t": 3, "i": 1, "c": 2, "d": 1, "f": 2},
    latency=(0.1, 1.5),
    rate=RATE,
    connections=12,
)
LOOK_SECONDS: Final = 1.0  # between two reads of what is listed
REFRESHED_EVERY: Final = 10  # looks
LOOKS: Final = (
    *("/v1/models", "/v1/providers?limit=20", "/v1/events?limit=20", "/v1/usage", "/v1/audit"),
    *(f"{CHAT}?limit=20", f"{CHAT}?status=failed&limit=20", "/v1/me", "/metrics", "/health/ready"),
)
# What the provider answers → the job's code and the status that a plain caller is given.
FAULTS: Final = {400: ("upstream_refused", 400), 500: ("upstream_server_error", 502)}


class SoakLoad(MixedLoad):
    """Runs like `MixedLoad`; `wrong_looks` and `wrong_failures` hold what no answer may be."""

    pry_seconds = 2.0

    def __init__(self, scene: Scene, *, run: str, seed: int) -> None:
        super().__init__(scene, run=run, seed=seed, shape=SHAPE)
        self.looks = 0
        self.wrong_looks: list[str] = []
        self.failing = 0
        self.wrong_failures: list[str] = []
        self._ended: dict[str, Mapping[str, Any]] = {}

    async def _one(self, http: aiohttp.ClientSession, kind: str, mark: str) -> None:
        if kind == "f":
            await self._fail(mark)
            return
        await super()._one(http, kind, mark)
        chat = next(one for one in reversed(self.chats) if one.mark == mark)
        if chat.job_id and not chat.gone:
            await self._note(self._homes[chat.owner], chat.job_id)

    async def _note(self, http: aiohttp.ClientSession, job_id: str) -> Mapping[str, Any] | None:
        """Wait for the job's end as its owner does."""
        try:
            async with http.get(f"{CHAT}/{job_id}", headers={"Prefer": "wait=30"}) as answer:
                document: dict[str, Any] = await answer.json(content_type=None)
        except (*FAILURES, ValueError) as error:
            self.wrong_looks.append(f"{job_id}: {type(error).__name__}")
            return None
        if answer.status != 200 or document["status"] not in TERMINAL:
            self.wrong_looks.append(f"{job_id}: {answer.status} {document.get('status')}")
            return None
        self._ended[job_id] = document
        self.see(document)
        return document

    async def _fail(self, mark: str) -> None:
        """A chat that its provider refuses or fails, with its caller waiting or not."""
        owner = self.dice.choice(list(self._homes))
        chat = Chat("f", mark, owner, "")
        body, http = self.body(chat), self._homes[owner]
        status = self.dice.choice(list(FAULTS))
        code, passed_on = FAULTS[status]
        body["sim"]["status"] = status
        background = self.dice.random() < 0.5
        if not background:
            body = {name: value for name, value in body.items() if not name.startswith("back")}
        began, at = time.monotonic(), time.time()
        self.failing += 1
        try:
            async with http.post(CHAT, json=body) as answer:
                document = await answer.json(content_type=None)
        except (*FAILURES, ValueError) as error:
            self.refuse(chat, at=at, why=type(error).__name__)
            return
        said: object = (answer.status, (document.get("error") or {}).get("code"))
        expected: object = (passed_on, code)
        if background and answer.status == 202:
            self.chats.append(chat)
            self.accept(chat, document["id"], at=at, took=time.monotonic() - began)
            ended = await self._note(http, chat.job_id)
            said = ended and (ended["status"], (ended["error"] or {}).get("code"))
            expected = ("failed", code)
        if said != expected:
            self.wrong_failures.append(f"{mark} was told {said} in place of {expected}")

    async def _see(self, http: aiohttp.ClientSession) -> None:
        """Read one list after another, and have the models looked at; every chat is seen anyway."""
        provider = self.scene.model.partition("/")[0]
        for number in itertools.count(1):
            if self._stopping.is_set():
                return
            method, path = "GET", LOOKS[number % len(LOOKS)]
            if number % REFRESHED_EVERY == 0:
                method, path = "POST", f"/v1/providers/{provider}/refresh"
            try:
                async with http.request(method, path) as answer:
                    text = await answer.text()
                if answer.status >= 300:
                    self.wrong_looks.append(f"{method} {path}: {answer.status} {text[:200]}")
            except FAILURES as error:
                self.wrong_looks.append(f"{method} {path}: {type(error).__name__}")
            self.looks += 1
            await asyncio.sleep(LOOK_SECONDS)

    def collect(self) -> dict[str, Mapping[str, Any] | None]:
        """Id → job: stored ones as they are now, the others as they ended."""
        known = [entry.job_id for entry in (*self.accepted, *self.plain)]
        unstored = {
            job_id: job
            for job_id in known
            if (job := self._ended.get(job_id)) is not None and not job["background"]
        }
        stored = [job_id for job_id in known if job_id not in unstored]
        now = asyncio.run(collected(self.scene.url, self.scene.admin_key, stored))
        return {**unstored, **now}

    def replayable(self) -> list[str]:
        """Those of the background: the others' are forgotten."""
        return [chat.job_id for chat in self.chats if chat.kind == "t" and chat.readings]

    def findings(self) -> list[Finding]:
        """What only this load asks for."""
        looks = Finding("-", f"reads, refreshes and waits ({self.looks}) that were not answered")
        looks.broken += self.wrong_looks
        failures = Finding("-", f"failing calls ({self.failing}) that did not fail as they had to")
        failures.broken += self.wrong_failures
        refused = Finding("-", "chats that were not accepted, though nothing was broken")
        refused.broken += [f"{entry.mark}: {entry.why}" for entry in self.refused]
        return [looks, failures, refused]
