"""Streams: the text a second of many at once, and how soon the chunks of one alone arrive.

What arrived is only noted while it arrives, with its time, and read afterwards.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import aiohttp
import msgspec

from benchmarks import load
from benchmarks.scale import Scale
from benchmarks.scenarios._scenario import Record, Scenario
from benchmarks.sides import DIRECT, LITELLM, POSTGRES, SQLITE
from benchmarks.stage import Stage
from tests.simulators.counting import text_of

DATA: Final = b"data: "


class Broken(Exception):
    """A stream was not whole; the message says what came."""


@dataclass(frozen=True, slots=True)
class Streamed:
    """One stream as it arrived; times in seconds, of the machine's monotonic clock."""

    began: float
    arrived: list[tuple[float, bytes]]

    def chunks(self) -> Iterator[tuple[float, Any]]:
        """When each chunk had arrived, and its document; raises Broken without [DONE]."""
        rest = b""
        for at, data in self.arrived:
            *blocks, rest = (rest + data).split(b"\n\n")
            for block in blocks:
                if block == DATA + b"[DONE]":
                    return
                if block.startswith(DATA):
                    yield at, msgspec.json.decode(block[len(DATA) :])
        raise Broken(f"Expected a stream that ends with [DONE], got {rest[-200:]!r} at its end.")

    def spoken(self) -> tuple[str, float, list[float]]:
        """The text, seconds to its first piece, and from the upstream to here for each chunk.

        The latter is known where a side passes on the time that the upstream wrote into it.
        """
        pieces, first, deliveries = [], 0.0, []
        for at, chunk in self.chunks():
            for choice in chunk["choices"]:
                if piece := choice["delta"].get("content"):
                    first = first or at - self.began
                    pieces.append(piece)
            if (sent := chunk.get("sim_sent_at")) is not None:
                deliveries.append(at - sent)
        return "".join(pieces), first, deliveries


async def stream(session: aiohttp.ClientSession, call: load.Call) -> Streamed:
    """Ask for one stream and take it as it comes; raises Broken for another status."""
    arrived = []
    began = time.monotonic()
    async with session.post(call.url, data=call.body, headers=call.headers) as answer:
        if answer.status != call.expected:
            raise Broken(f"Expected 200, got {answer.status}: {await answer.text()}")
        async for data in answer.content.iter_any():
            arrived.append((time.monotonic(), data))
    return Streamed(began, arrived)


def text(scale: Scale) -> str:
    """What is done."""
    return (
        f"{scale.streams} streams at once, each of {scale.words} words that come every "
        f"{scale.every * 1000:g} ms, a chunk each, after as many that only warm up; then "
        f"{scale.alone}, one after the other."
    )


def measure(stage: Stage, name: str, record: Record) -> None:
    """One side, once; raises Broken unless every stream is whole and has the upstream's text."""
    asyncio.run(_measure(stage, name, record))


async def _measure(stage: Stage, name: str, record: Record) -> None:
    scale, side = stage.scale, stage.side(name)
    sim = {"words": scale.words, "every": scale.every, "stamped": True}
    call = side.chat(sim=sim, stream=True)
    async with load.clients() as session:
        await asyncio.gather(*(stream(session, call) for _ in range(scale.streams)))  # warm
        await asyncio.sleep(scale.settle)
        before, answers = side.cpu_seconds(), load.Answers()
        async with load.measured(answers):
            many = await asyncio.gather(*(stream(session, call) for _ in range(scale.streams)))
        await asyncio.sleep(scale.settle)
        cpu = side.cpu_seconds() - before
        alone = [(await stream(session, call)).spoken() for _ in range(scale.alone)]
    told = [one.spoken()[0] for one in many]
    if wrong := [text for text in told if text != text_of(scale.words)]:
        raise Broken(f"Expected the upstream's text in each stream, got {wrong[0]!r}.")
    record("text", sum(map(len, told)) / answers.seconds, "characters/s")
    record("CPU per chunk", cpu / (scale.streams * scale.words) * 1000, "ms")
    record("load generator's share of a core", answers.cpu / answers.seconds * 100, "%")
    record("one alone: first piece, p50", statistics.median(one[1] for one in alone) * 1000, "ms")
    if deliveries := [seconds for one in alone for seconds in one[2]]:
        record("one alone: delivery of a chunk, p50", statistics.median(deliveries) * 1000, "ms")


SCENARIO = Scenario("streams", text, (DIRECT, SQLITE, POSTGRES, LITELLM), measure)
