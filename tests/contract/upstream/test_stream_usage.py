"""Servers that do not know streams, or not how to tell their usage."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest

from shared.errors import UpstreamRefused, UpstreamTimeout
from shared.upstream import Bounds
from tests.contract.upstream.stage import Script, Stage, Wire, http
from tests.contract.upstream.streaming_calls import ASKED, Streaming, streaming_of
from tests.contract.upstream.streams import CHUNKED, DONE, END, answers, chunked, finishes, says

WHOLE = {"choices": [{"index": 0, "message": {"role": "assistant", "content": "ab"}}], "x": 1}


@pytest.mark.parametrize("content_type", ["application/json", "", "text/plain; charset=utf-8"])
def test_a_server_that_ignores_stream_answers_whole(content_type: str) -> None:
    async def check(seen: Streaming) -> None:
        end = await seen.end()
        assert (end.whole, end.chunks, seen.chunks, end.status) == (WHOLE, 0, [], 200)
        assert end.first_byte_seconds <= end.total_seconds

    streaming_of(answers(b" \n" + json.dumps(WHOLE).encode(), content_type), check)


def picky(*, good_after: int = 1, status: int = 400, text: str = "stream_options: no") -> Script:
    """Refuses the first requests in these words, and every one that asks for usage."""
    asked = 0

    async def script(wire: Wire) -> None:
        nonlocal asked
        while True:
            request = await wire.request()
            asked += 1
            if b"stream_options" in request or asked <= good_after:
                await wire.send(http(status, json.dumps({"error": {"message": text}}).encode()))
            else:
                await wire.send(CHUNKED + chunked(says("a") + finishes() + DONE) + END)

    return script


def bodies(stage: Stage) -> list[Any]:
    return [json.loads(request.partition(b"\r\n\r\n")[2]) for request in stage.requests]


@pytest.mark.parametrize("status", [400, 422])
def test_a_server_that_refuses_stream_options_is_asked_again_without_and_remembered(
    status: int,
) -> None:
    async def check(seen: Streaming) -> None:
        assert (await seen.end()).chunks == 2
        assert seen.sent == 1
        assert (await seen.end()).chunks == 2
        first, second, third = bodies(seen.stage)
        assert first == json.loads(ASKED)
        assert "stream_options" not in second
        assert second == third
        assert second["stream"] is True

    streaming_of(picky(status=status), check)


def test_a_refusal_of_both_forms_is_told_and_not_remembered() -> None:
    async def check(seen: Streaming) -> None:
        failure = await seen.failure()
        assert type(failure) is UpstreamRefused
        assert (failure.upstream_status, failure.may_have_been_billed) == (400, False)
        await seen.end()
        assert ["stream_options" in body for body in bodies(seen.stage)] == [
            *(True, False, True, False)
        ]

    streaming_of(picky(good_after=3), check)


def test_another_refusal_is_not_asked_again() -> None:
    async def check(seen: Streaming) -> None:
        assert type(await seen.failure()) is UpstreamRefused
        assert len(seen.stage.requests) == 1

    streaming_of(picky(text="temperature: no"), check)


def test_the_second_request_gets_what_is_left_of_the_whole_time() -> None:
    async def script(wire: Wire) -> None:
        await wire.request()
        await asyncio.sleep(0.3)
        await wire.send(http(400, b'{"error":{"message":"stream_options"}}'))
        await wire.request()
        await wire.hang_up()

    async def check(seen: Streaming) -> None:
        began = time.monotonic()
        failure = await seen.failure(Bounds(first_byte=5, idle=5, total=0.6))
        assert isinstance(failure, UpstreamTimeout)
        assert failure.phase == "total"
        assert time.monotonic() - began < 0.8

    streaming_of(script, check)
