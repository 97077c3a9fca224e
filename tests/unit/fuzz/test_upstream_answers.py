"""Answers of real servers, broken: read as something, or refused as what they are."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Callable, Iterable
from types import SimpleNamespace
from typing import Any

import httpx
from hypothesis import given
from hypothesis import strategies as st

from shared.chunks import Fold, folded, is_usage_only
from shared.errors import JobFailure
from shared.upstream import answers, strict_json
from shared.upstream.event_stream import Event, EventParser, LineTooLong
from shared.upstream.model_list import MAX_ENTRIES, MAX_ID, NotAModelList, models
from shared.upstream.streaming import _Stream
from tests.depth import bounded
from tests.mutations import broken
from tests.samples import names, sample

ALL = {name: sample(name) for name in names()}
STREAMS = [one.body + b"\n\n" for name, one in ALL.items() if "stream" in name]
LISTS = [one.body for name, one in ALL.items() if "/models" in name]
BODIES = [one.body for one in ALL.values()]
EVERY_CUT = 400  # bytes of a stream that is cut at each of its places


def events(parts: Iterable[bytes]) -> list[Event] | type[LineTooLong]:
    parser = EventParser()
    try:
        found = [event for part in parts for event in parser.feed(part)]
        return found + parser.close()
    except LineTooLong as refused:
        return type(refused)


def pieces(raw: bytes, cuts: Iterable[int]) -> list[bytes]:
    places = sorted({0, len(raw), *(cut % (len(raw) + 1) for cut in cuts)})
    return [raw[begin:end] for begin, end in itertools.pairwise(places)]


@bounded(25)
@given(broken(STREAMS), st.integers(0, 5000))
def test_a_stream_cut_at_every_byte_has_the_same_events(raw: bytes, begin: int) -> None:
    begin %= len(raw) + 1
    raw = raw[begin : begin + EVERY_CUT]
    whole = events([raw])
    for cut in range(1, len(raw)):
        assert events([raw[:cut], raw[cut:]]) == whole
    assert events(bytes((byte,)) for byte in raw) == whole


def streamed(parts: list[bytes]) -> tuple[list[Any], str]:
    """The chunks that a stream in these pieces hands over, and its end: a failure, or none."""
    chunks: list[Any] = []

    class Pieces(AsyncIterator[bytes]):
        """A body as the transport's: handed over piece by piece, or iterated."""

        def __init__(self) -> None:
            self._rest = iter(parts)

        async def __anext__(self) -> bytes:
            for part in self._rest:
                return part
            raise StopAsyncIteration

        async def hand_over(self, take: Callable[[bytes], bool]) -> None:
            for part in self._rest:
                if not take(part):
                    return

    async def read() -> str:
        limits = SimpleNamespace(allow=lambda *_: None, rest=60.0, elapsed=0.0)
        head = answers.RawAnswer("a stream", 200, httpx.Headers(), b"", "h:1", None)
        opened: Any = SimpleNamespace(
            answer=lambda: head,
            target=SimpleNamespace(api_key=None),
            bounds=SimpleNamespace(idle=60.0),
            limits=limits,
            pieces=Pieces(),
            where="h:1",
        )
        try:
            await _Stream(opened, chunks.append).to_its_end()
        except JobFailure as failure:
            return f"{failure.code}: {failure.message}"
        return "whole"

    return chunks, asyncio.run(read())


@bounded(40)
@given(broken(STREAMS), st.lists(st.integers(0, 5000), max_size=30))
def test_a_broken_stream_gives_chunks_and_an_end_however_it_is_cut(
    raw: bytes, cuts: list[int]
) -> None:
    chunks, end = streamed([raw])
    assert streamed(pieces(raw, cuts)) == (chunks, end)
    fold = Fold()
    for chunk in chunks:
        fold.add(chunk)
        is_usage_only(chunk)
    json.dumps(fold.completion(), allow_nan=False)
    assert fold.completion() == folded(chunks)


@bounded(60)
@given(broken(LISTS))
def test_a_broken_list_of_models_is_read_or_refused(raw: bytes) -> None:
    try:
        found = models(strict_json.parse(raw))
    except (strict_json.NotJson, NotAModelList):
        return
    ids = [model.id for model in found.models]
    assert len(set(ids)) == len(ids) <= MAX_ENTRIES
    assert all(0 < len(id_) <= MAX_ID and id_.isprintable() for id_ in ids)
    json.dumps([model.raw for model in found.models], allow_nan=False)


@bounded(60)
@given(
    broken(BODIES),
    st.sampled_from([200, 400, 401, 404, 413, 429, 500, 502, 503]),
    st.sampled_from(["application/json", "text/html", "text/event-stream", "", "application/x"]),
)
def test_a_broken_answer_is_a_completion_or_a_failure_of_the_tree(
    raw: bytes, status: int, kind: str
) -> None:
    headers = httpx.Headers({"content-type": kind, "retry-after": "-1"})
    answer = answers.RawAnswer("a chat completion", status, headers, raw, "h:1", None)
    if status == 200:
        try:
            document = answers.completion(answer)
        except JobFailure as failure:
            told = failure
        else:
            json.dumps(document, allow_nan=False)
            return
    else:
        told = answers.refusal(answer, model="m", now=0.0)
    text = json.dumps(told.document(), allow_nan=False)
    assert "\x00" not in told.message
    text.encode()
    assert len(told.message) < 3000
