"""What the real client makes of each kind of server's stream: chunks, ends and errors."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import pytest

from shared.chunks import folded
from shared.errors import UpstreamFailure
from shared.upstream import Bounds, StreamEnd, Target, UpstreamClient
from tests import simulators as sims
from tests.contract.upstream.calls import client, run
from tests.contract.upstream.test_servers import EVERY, Make, each_server, server
from tests.simulators import Mode, Running
from tests.simulators.counting import text_of

BOUNDS = Bounds(connect=5, first_byte=10, idle=1, total=10)
TOOLS = [{"type": "function", "function": {"name": name}} for name in ("weather", "time")]
CALL_TOOLS: list[Make] = [sims.vllm, sims.gemini, sims.CountingSimulator]
ERRS_IN_SILENCE = sims.ollama  # what its error becomes is an empty chunk, and no end
USAGE_UNASKED = {sims.together, sims.no_models_route}


def request(at: Running, *, stream: bool = True, **fields: Any) -> bytes:
    body = {"model": at.simulator.models[0], "messages": [{"role": "user", "content": "Hello"}]}
    asked = {"stream": True, "stream_options": {"include_usage": True}} if stream else {}
    return json.dumps({**body, **asked, **fields}).encode()


async def streamed(
    calling: UpstreamClient, at: Target, body: bytes, bounds: Bounds = BOUNDS
) -> tuple[StreamEnd | UpstreamFailure, list[dict[str, Any]]]:
    chunks: list[dict[str, Any]] = []
    try:
        return await calling.stream_chat(at, body, bounds, on_chunk=chunks.append), chunks
    except UpstreamFailure as failure:
        return failure, chunks


def said(document: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """What the choices of a completion say, without fields that were left empty."""
    return [
        (
            choice["index"],
            {name: value for name, value in choice["message"].items() if value},
            choice["finish_reason"],
        )
        for choice in document["choices"]
    ]


@each_server
def test_its_stream_adds_up_to_its_whole_answer_usage_included(make: Make) -> None:
    async def main() -> None:
        with server(make) as (sim, target):
            async with client() as calling:
                end, chunks = await streamed(calling, target(), request(sim))
                assert isinstance(end, StreamEnd), end
                assert (end.chunks, end.whole) == (len(chunks), None)
                assert len(chunks) >= 3
                whole = await calling.chat(target(), request(sim, stream=False), BOUNDS)
        found = folded(chunks)
        assert said(found) == said(whole.body)
        assert found["usage"]["total_tokens"] == whole.body["usage"]["total_tokens"]
        deltas = [choice["delta"] for chunk in chunks for choice in chunk["choices"]]
        text = "".join(delta.get("content") or "" for delta in deltas)
        assert text == found["choices"][0]["message"]["content"]

    run(main())


@pytest.mark.parametrize("make", CALL_TOOLS, ids=lambda make: make.__name__)
def test_its_tool_calls_add_up_with_index_and_without(make: Make) -> None:
    async def main() -> None:
        with server(make) as (sim, target):
            async with client() as calling:
                _, chunks = await streamed(calling, target(), request(sim, tools=TOOLS))
                whole = await calling.chat(
                    target(), request(sim, stream=False, tools=TOOLS), BOUNDS
                )
        called = [
            [call["function"] for call in document["choices"][0]["message"]["tool_calls"]]
            for document in (folded(chunks), whole.body)
        ]
        assert called[0] == called[1]
        assert [call["name"] for call in called[0]] == ["weather", "time"]

    run(main())


BREAKS = {
    Mode.STREAM_CUT: ("upstream_stream_broken", None),
    Mode.STREAM_STALL: ("upstream_timeout", "idle"),
    Mode.STREAM_ERROR: ("upstream_refused", None),
}


def test_what_breaks_a_servers_stream_gets_its_class() -> None:
    """A server for each kind and mode, all at once."""

    async def one(make: Make, mode: Mode) -> tuple[str, str | None]:
        with server(make) as (sim, target):
            sim.set_mode(mode)
            async with client() as calling:
                failure, chunks = await streamed(calling, target(), request(sim))
                assert isinstance(failure, UpstreamFailure), failure
                assert failure.may_have_been_billed
                assert chunks
                if mode is Mode.STREAM_ERROR and make is not ERRS_IN_SILENCE:
                    assert "The call asked for this failure." in failure.message
                stats = await sim.reached(lambda stats: stats.in_flight == 0, 5)
                assert stats.closed_early == (1 if mode is Mode.STREAM_STALL else 0)
                return failure.code, failure.phase

    async def main() -> dict[tuple[Make, Mode], Any]:
        pairs = [(make, mode) for make in EVERY for mode in BREAKS]
        found = await asyncio.gather(*(one(*pair) for pair in pairs))
        return dict(zip(pairs, found, strict=True))

    expected = {(make, mode): end for make in EVERY for mode, end in BREAKS.items()}
    expected[ERRS_IN_SILENCE, Mode.STREAM_ERROR] = ("upstream_stream_broken", None)
    assert run(main()) == expected


@each_server
def test_its_stream_needs_no_done_no_stream_options_and_no_stream(make: Make) -> None:
    async def main() -> None:
        with server(make) as (sim, target):
            async with client() as calling:
                usual, chunks = await streamed(calling, target(), request(sim))
                assert isinstance(usual, StreamEnd)
                sim.set_mode(Mode.NO_DONE)
                assert (await streamed(calling, target(), request(sim)))[1] == chunks
                sim.set_mode(Mode.NO_STREAMS)
                end, none = await streamed(calling, target(), request(sim))
                assert isinstance(end, StreamEnd)
                assert end.whole is not None
                assert (said(end.whole), none) == (said(folded(chunks)), [])
                sim.set_mode(Mode.NO_STREAM_OPTIONS)
                asked = len(sim.simulator.requests)
                for _ in range(2):
                    end, fewer = await streamed(calling, target(), request(sim))
                    assert isinstance(end, StreamEnd), end
                    assert said(folded(fewer)) == said(folded(chunks))
                    assert (folded(fewer).get("usage") is not None) == (make in USAGE_UNASKED)
                assert len(sim.simulator.requests) == asked + 3

    run(main())


def test_a_hundred_streams_at_once_all_come_whole() -> None:
    async def main() -> None:
        with server(sims.CountingSimulator) as (sim, target):
            async with client() as calling:
                body = request(sim, sim={"words": 50, "every": 0.01})
                ends = await asyncio.gather(
                    *(streamed(calling, target(), body, Bounds()) for _ in range(100))
                )
                for end, chunks in ends:
                    assert isinstance(end, StreamEnd), end
                    content = folded(chunks)["choices"][0]["message"]["content"]
                    assert content == text_of(50)
                assert sim.stats().high_water == 100

    run(main())
