"""A streamed chat completion, handed over chunk by chunk while it comes.

Our key becomes stars in every event that holds it whole. One that an upstream spells over several
chunks does not: to whoever wants to give it away, any other writing would do as well.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from shared.chunks import MOST_CHOICES
from shared.errors import UpstreamFailure, UpstreamStreamBroken
from shared.upstream import strict_json
from shared.upstream.answers import (
    COMPRESSED,
    NO_JSON,
    RawAnswer,
    error_in,
    is_compressed,
    unusable,
)
from shared.upstream.event_stream import MAX_LINE, Event, EventParser, LineTooLong
from shared.upstream.failures import BODY_FAULTS, without_an_end
from shared.upstream.reading import Opened, whole
from shared.upstream.upstream_text import Concealer

EVENT_STREAM: Final = "text/event-stream"
# A token in a stream takes 200 to 270 bytes: enough for the 128,000 tokens of the longest answers.
STREAM_BYTES: Final = 32 * 1024 * 1024
# A chunk has 150 bytes and more, so that the bound on bytes holds for honest streams; of the
# smallest, each of which costs its reader some 50 µs, 32 MiB would be 1,600,000.
MAX_CHUNKS: Final = 250_000
PLAIN_BRACKETS: Final = 4  # of a chunk without log probabilities: itself, choices, choice, delta

_DONE: Final = b"[DONE]"
# data, event, id, retry, and comments; JSON starts with none of these bytes
_FIELD_STARTS: Final = frozenset({b"d", b"e", b"i", b"r", b":"})
_SECONDS_AFTER_DONE: Final = 0.05


@dataclass(frozen=True, slots=True)
class Streamed:
    """What came: a stream with its `chunks`, or none, and then `answer` has the whole body.

    `first_byte` is when the first chunk came, or the head; in seconds since the call began.
    """

    answer: RawAnswer
    chunks: int
    first_byte: float


async def streamed(opened: Opened, on_chunk: Callable[[dict[str, Any]], None]) -> Streamed:
    """The stream's end, after all its chunks; or the whole answer, when that is no stream.

    Raises UpstreamStreamBroken, UpstreamInvalidAnswer, UpstreamRefused for an `error` that came
    instead of a chunk, and whatever `on_chunk` raises.
    """
    head_came = opened.limits.elapsed
    if not opened.is_good:
        return Streamed(await whole(opened), 0, head_came)
    stream = _Stream(opened, on_chunk)
    if opened.media_type != EVENT_STREAM and not await stream.begins_like_one():
        return Streamed(await whole(opened, stream.begun), 0, head_came)
    if is_compressed(opened.response.headers):
        raise unusable(opened.answer(), COMPRESSED)
    return await stream.to_its_end()


class _Stream:
    """One stream, and what came of it; its frames keep no bytes, which might hold our key."""

    def __init__(self, opened: Opened, on_chunk: Callable[[dict[str, Any]], None]) -> None:
        self._opened = opened
        self._on_chunk = on_chunk
        self._head = opened.answer()
        self._concealer = Concealer(opened.target.api_key)
        self._parser = EventParser()
        self._patience = asyncio.timeout(None)
        self.begun = b""
        self._bytes = 0
        self._chunks = 0
        self._values = 0  # lists and objects to keep: log probabilities are, chunk after chunk
        self._first_chunk = 0.0
        self._unfinished: set[int] = set()
        self._finished: set[int] = set()
        self._done = False
        self._failure: UpstreamFailure | None = None

    @property
    def _complete(self) -> bool:
        """Whether all was said that a message needs: every choice has its finish_reason."""
        return self._done or bool(self._finished and not self._unfinished)

    async def begins_like_one(self) -> bool:
        """Whether the first byte could be a stream's; what was read is in `begun`.

        Small servers stream without saying so, but no JSON begins as a stream does.
        """
        if self._opened.is_too_large or self._opened.media_type in NO_JSON:
            return False
        self._opened.limits.allow("idle", self._opened.bounds.idle)
        self.begun = await anext(self._opened.pieces, b"")
        return self.begun.lstrip()[:1] in _FIELD_STARTS

    async def to_its_end(self) -> Streamed:
        """Read until [DONE] or the end of the body."""
        self._take(self.begun)
        try:
            async with self._patience:
                if not self._is_over:
                    await self._opened.pieces.hand_over(self._next)
        except (TimeoutError, UpstreamStreamBroken):
            if not self._complete:
                raise
        if self._failure is None and not self._complete:
            self._take_events(self._parser.close(), at_end=True)
        if self._failure is None:
            self._failure = self._lack()
        if self._failure is not None:
            raise self._failure
        if self._done:
            await self._read_out()
        return Streamed(self._head, self._chunks, self._first_chunk)

    def _lack(self) -> UpstreamFailure | None:
        """What is missing at the end, if anything is."""
        if not self._complete:
            return without_an_end(where=self._opened.where, chunks=self._chunks)
        return None if self._chunks else unusable(self._head, "a stream without a chunk")

    @property
    def _is_over(self) -> bool:
        """Whether nothing more is to be read: [DONE] came, or something failed."""
        return self._done or self._failure is not None

    def _next(self, piece: bytes) -> bool:
        """Take the next piece; False when no more is wanted."""
        self._take(piece)
        if not self._is_over:
            self._set_bounds()
        return not self._is_over

    def _set_bounds(self) -> None:
        limits, idle = self._opened.limits, self._opened.bounds.idle
        if self._patience.expired():
            return
        if self._complete:  # usage and [DONE] may follow, and need not
            limits.allow("total", limits.rest)
            self._patience.reschedule(asyncio.get_running_loop().time() + idle)
        elif self._chunks:
            limits.allow("idle", idle)
            if self._patience.when() is not None:  # another choice begins
                self._patience.reschedule(None)

    async def _read_out(self) -> None:
        """Read to the end of the body, which follows [DONE] at once, to keep the connection."""
        self._opened.limits.allow("total", self._opened.limits.rest)
        with contextlib.suppress(TimeoutError, *BODY_FAULTS):
            async with asyncio.timeout(_SECONDS_AFTER_DONE):
                async for _piece in self._opened.pieces:
                    pass

    def _take(self, piece: bytes) -> None:
        """Hand over the chunks that these bytes complete."""
        self._bytes += len(piece)
        if self._bytes > STREAM_BYTES:
            self._failure = unusable(self._head, f"a stream over {STREAM_BYTES // 2**20} MiB")
            return
        try:
            events = self._parser.feed(piece)
        except LineTooLong:
            self._failure = unusable(self._head, f"a line over {MAX_LINE // 2**20} MiB")
        else:
            self._take_events(events)

    def _take_events(self, events: list[Event], *, at_end: bool = False) -> None:
        for event in events:
            if event.data.strip() == _DONE:
                self._done = True
            else:
                self._failure = self._take_data(event, at_end=at_end)
            if self._done or self._failure is not None:
                return

    def _take_data(self, event: Event, *, at_end: bool) -> UpstreamFailure | None:
        data = self._concealer.body(event.data)
        self._values += max(data.count(b"[") + data.count(b"{") - PLAIN_BRACKETS, 0)
        if self._values > strict_json.MAX_BRACKETS:
            return unusable(self._head, "a stream with more values than an answer can have")
        try:
            chunk = self._concealer.value(strict_json.parse(data), data)
        except strict_json.NotJson as fault:
            if at_end:  # a cut inside a line, when nothing else tells of a cut
                return without_an_end(where=self._opened.where, chunks=self._chunks)
            return unusable(self._head, f"a chunk of {fault}")
        if event.is_error and not (isinstance(chunk, dict) and chunk.get("error")):
            chunk = {"error": chunk or True}
        if (refused := error_in(self._head, chunk)) is not None:
            return refused
        if not isinstance(chunk, dict):
            return unusable(self._head, "a chunk that is no object")
        choices = chunk.setdefault("choices", [])
        if choices is None:
            choices = chunk["choices"] = []
        if not isinstance(choices, list) or not all(isinstance(choice, dict) for choice in choices):
            return unusable(self._head, "a chunk without a list of choices")
        self._note_ends(choices)
        if len(self._finished) + len(self._unfinished) > MOST_CHOICES:
            return unusable(self._head, f"a stream of more than {MOST_CHOICES} choices")
        return self._hand_over(chunk)

    def _note_ends(self, choices: list[dict[str, Any]]) -> None:
        for place, choice in enumerate(choices):
            index = choice.get("index")
            index = index if type(index) is int else place
            if choice.get("finish_reason"):
                self._finished.add(index)
                self._unfinished.discard(index)
            elif index not in self._finished:
                self._unfinished.add(index)

    def _hand_over(self, chunk: dict[str, Any]) -> UpstreamFailure | None:
        if self._chunks == MAX_CHUNKS:
            return unusable(self._head, f"a stream of more than {MAX_CHUNKS:,} chunks")
        if not self._chunks:
            self._first_chunk = self._opened.limits.elapsed
        self._chunks += 1
        self._on_chunk(chunk)
        return None
