"""Readers of streams that lose their connection and come back behind the last number they have."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp

from tests.api import CHAT
from tests.campaigns.load import FAILURES

COME_BACK_SECONDS: Final = 0.3
PATIENCE_SECONDS: Final = 120.0


@dataclass(slots=True)
class Reading:
    """What one reader was given, over all its connections.

    `end` is `done`, the code of the error that ended the stream, or an HTTP status; None while it
    has not ended. `wrong` holds what no stream may do.
    """

    chunks: list[str] = field(default_factory=list)  # as they came, the first is number 0
    end: str | None = None
    drops: int = 0
    wrong: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """The concatenated content."""
        said = []
        for chunk in self.chunks:
            for choice in json.loads(chunk)["choices"]:
                said.append(choice["delta"].get("content") or "")
        return "".join(said)

    def take(self, line: str) -> None:
        """One line of the stream."""
        name, _, value = line.partition(": ")
        if name == "id":
            if value != str(len(self.chunks)):
                self.wrong.append(f"id {value} where {len(self.chunks)} was due")
        elif name == "data" and value == "[DONE]":
            self.end = "done"
        elif name == "data":
            self._take(value)
        elif line not in ("", ": ping"):
            self.wrong.append(f"a line {line[:100]!r}")

    def _take(self, value: str) -> None:
        document: dict[str, Any] = json.loads(value)
        if "error" in document:
            self.end = document["error"]["code"]
        elif document["sequence_number"] != len(self.chunks):
            number = document["sequence_number"]
            self.wrong.append(f"chunk {number} where {len(self.chunks)} was due")
        else:
            self.chunks.append(value)


async def read(answer: aiohttp.ClientResponse, reading: Reading, *, most: int = 10**9) -> None:
    """Read until the end, until the connection is lost, or until `most` chunks are there."""
    try:
        while reading.end is None and len(reading.chunks) < most:
            line = await answer.content.readline()
            if not line.endswith(b"\n"):  # the connection is over, in the middle of a line or not
                break
            reading.take(line[:-1].decode())
    except FAILURES:
        pass  # lost: whoever wants the rest comes back
    reading.drops += reading.end is None


async def follow(http: aiohttp.ClientSession, job_id: str, reading: Reading) -> None:
    """Read what is missing, again and again, until the stream has ended; for two minutes."""
    until = time.monotonic() + PATIENCE_SECONDS
    while reading.end is None and time.monotonic() < until:
        query = {"stream": "true", "starting_after": str(len(reading.chunks) - 1)}
        try:
            async with http.get(f"{CHAT}/{job_id}", params=query) as answer:
                if answer.status == 200:
                    await read(answer, reading)
                elif answer.status < 500:
                    reading.end = str(answer.status)
                else:
                    reading.end = await _failure(answer, reading)
        except FAILURES:
            reading.drops += 1
        if reading.end is None:
            await asyncio.sleep(COME_BACK_SECONDS)


async def _failure(answer: aiohttp.ClientResponse, reading: Reading) -> str | None:
    """The code of a job that failed before its first chunk; None when the registry cannot say."""
    document = await answer.json(content_type=None)
    code: str = document["error"]["code"]
    if answer.status == 503 and code == "store_unavailable":
        return None
    if reading.chunks:
        reading.wrong.append(f"{answer.status} {code} behind chunk {len(reading.chunks) - 1}")
    return code
