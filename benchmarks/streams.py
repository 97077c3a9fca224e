"""`python -m benchmarks.streams`: streams through Dragoman beside the same streams asked directly.

Load generator, system and upstream share the machine; the upstream is a process of its own. Both
sides run in turn, several rounds, so that a busy machine disturbs both alike. Printed are the first
chunk and the delivery of each chunk of one stream alone (from the upstream's own time stamp in the
chunk), and the text a second of many streams at once.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

from benchmarks.machine import description
from tests.simulators import spawned
from tests.simulators.counting import text_of
from tests.system import System

WORDS = 50
EVERY = 0.01  # seconds from chunk to chunk


@dataclass(slots=True)
class Side:
    """One way to the same upstream, and what was measured on it; times in seconds."""

    name: str
    url: str
    model: str
    headers: dict[str, str]
    first: list[float] = field(default_factory=list)
    delivery: list[float] = field(default_factory=list)
    text: list[float] = field(default_factory=list)  # characters a second


@dataclass(frozen=True, slots=True)
class Streamed:
    """One stream as the client saw it."""

    first: float
    delivery: Sequence[float]
    text: str


async def stream(session: aiohttp.ClientSession, side: Side) -> Streamed:
    """Ask for one stream and read it to its end; raises AssertionError when it is not whole."""
    sim = {"words": WORDS, "every": EVERY, "stamped": True}
    body = {
        "model": side.model,
        "messages": [{"role": "user", "content": "x"}],
        "stream": True,
        "sim": sim,
    }
    began = time.monotonic()
    first = 0.0
    delivery: list[float] = []
    pieces: list[str] = []
    whole = False
    async with session.post(
        f"{side.url}/v1/chat/completions", json=body, headers=side.headers
    ) as answer:
        assert answer.status == 200, await answer.text()
        async for line in answer.content:
            if not line.startswith(b"data: "):
                continue
            now = time.monotonic()
            first = first or now - began
            if line.startswith(b"data: [DONE]"):
                whole = True
                break
            chunk: dict[str, Any] = msgspec.json.decode(line[6:])
            if (sent := chunk.get("sim_sent_at")) is not None:
                delivery.append(now - sent)
            for choice in chunk["choices"]:
                pieces.append(choice["delta"].get("content") or "")
    text = "".join(pieces)
    assert whole, f"{side.name}: a stream ended without [DONE]"
    assert text == text_of(WORDS), f"{side.name}: a stream's text is not that of the upstream"
    return Streamed(first, delivery, text)


async def measure(sides: Sequence[Side], *, streams: int, rounds: int) -> None:
    """One stream alone, then many at once, for each side in turn."""
    timeout = aiohttp.ClientTimeout(total=120)
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(timeout=timeout, connector=connector) as session:
        for side in sides:
            await stream(session, side)  # connections and caches are warm
        for _ in range(rounds):
            for side in sides:
                alone = await stream(session, side)
                side.first.append(alone.first)
                side.delivery += alone.delivery
            for side in sides:
                began = time.monotonic()
                many = await asyncio.gather(*[stream(session, side) for _ in range(streams)])
                seconds = time.monotonic() - began
                side.text.append(sum(len(one.text) for one in many) / seconds)


def report(direct: Side, ours: Side, streams: int) -> None:
    """Print both sides and their differences."""
    for side in (direct, ours):
        print(
            f"{side.name}: one alone: first chunk {_ms(side.first)} ms p50, each chunk delivered "
            f"in {_ms(side.delivery)} ms p50; {streams} at once: "
            f"{statistics.median(side.text):,.0f} characters a second"
        )
    ratio = statistics.median(ours.text) / statistics.median(direct.text)
    first = (statistics.median(ours.first) - statistics.median(direct.first)) * 1000
    delivery = (statistics.median(ours.delivery) - statistics.median(direct.delivery)) * 1000
    print(
        f"Dragoman beside direct: first chunk + {first:.1f} ms, delivery + {delivery:.1f} ms, "
        f"text per second x {ratio:.2f}"
    )


def _ms(seconds: Sequence[float]) -> str:
    return f"{statistics.median(seconds) * 1000:.1f}"


def main() -> int:
    """Measure and print; every stream must be whole."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.streams")
    parser.add_argument("--streams", type=int, default=100, help="at once")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    print("\n".join(description()), flush=True)
    with (
        tempfile.TemporaryDirectory(prefix="dragoman-bench-") as folder,
        spawned() as upstream,
        System(Path(folder) / "data") as system,
    ):
        provider = system.api.add_provider("streams", upstream.url)
        direct = Side("direct", upstream.url, "sim-model", {})
        ours = Side(
            "Dragoman",
            system.url,
            f"{provider['slug']}/sim-model",
            {"Authorization": f"Bearer {system.admin_key}"},
        )
        asyncio.run(measure((direct, ours), streams=arguments.streams, rounds=arguments.rounds))
    report(direct, ours, arguments.streams)
    return 0


if __name__ == "__main__":
    sys.exit(main())
