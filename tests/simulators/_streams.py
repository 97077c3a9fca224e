"""Streams: how a completion is cut into chunks, and how these are played on a connection.

A dialect says how its server streams by the arguments of `spoken`, or by a function of its own.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import msgspec

from tests.simulators._http import Exchange

Chunk: TypeAlias = Mapping[str, Any] | bytes  # bytes are sent as they are: comments
# The completion, and whether usage was asked for → what is streamed before [DONE].
Stream: TypeAlias = Callable[[Mapping[str, Any], bool], Sequence[Chunk]]
# cut: the connection ends in the middle, without the body's last chunk; end: the body does, in
# order; no-done: after everything but [DONE].
Ending: TypeAlias = Literal["cut", "reset", "end", "stall", "error", "no-done"]

DONE = b"data: [DONE]\n\n"
_SPOKEN = ("reasoning", "reasoning_content", "content")


def pieces(text: str) -> list[str]:
    """A text cut before each word, so that its pieces make it again."""
    return re.findall(r"\s*\S+|\s+$", text)


def spoken(
    document: Mapping[str, Any],
    include_usage: bool,
    *,
    opening: Mapping[str, Any] | None,
    each: Mapping[str, Any] | None = None,
    last: Mapping[str, Any] | None = None,
    choice: Mapping[str, Any] | None = None,
    final: Mapping[str, Any] | None = None,
    usage_choices: Sequence[Mapping[str, Any]] = (),
    chunk: Mapping[str, Any] | None = None,
    without: Sequence[str] = (),
) -> list[dict[str, Any]]:
    """A completion as OpenAI streams it: a role, the text in pieces, an end, and its usage.

    `opening` is the delta of the first chunk (None: there is none), `each` what every other delta
    repeats, `last` the delta beside the finish_reason; `choice` and `chunk` are more fields of each
    choice and chunk, `final` of the choice that ends; `without` names fields that are not streamed.
    """
    kept = {name: value for name, value in document.items() if name not in ("choices", "usage")}
    kept = {name: value for name, value in kept.items() if name not in without}
    envelope = {**kept, "object": "chat.completion.chunk", **(chunk or {})}
    whole = document["choices"][0]

    def one(delta: Mapping[str, Any], finish: Any = None, **more: Any) -> dict[str, Any]:
        fields = {"index": 0, "delta": delta, **(choice or {}), "finish_reason": finish, **more}
        return {**envelope, "choices": [fields]}

    chunks = [] if opening is None else [one(opening)]
    chunks += [one({**(each or {}), **delta}) for delta in deltas(whole["message"])]
    chunks.append(one(last or {}, whole["finish_reason"], **(final or {})))
    if include_usage and "usage" in document:
        chunks.append({**envelope, "choices": list(usage_choices), "usage": document["usage"]})
    return chunks


def deltas(message: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """What a message says, piece by piece; a tool call's arguments follow its name."""
    for name in _SPOKEN:
        for piece in pieces(message.get(name) or ""):
            yield {name: piece}
    for index, call in enumerate(message.get("tool_calls") or ()):
        function = {"name": call["function"]["name"], "arguments": ""}
        yield {"tool_calls": [{"index": index, **call, "function": function}]}
        for piece in pieces(call["function"]["arguments"]):
            yield {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}


def like_openai(document: Mapping[str, Any], include_usage: bool) -> Sequence[Chunk]:
    """OpenAI's: a role with an empty content first, an empty delta last."""
    opening = {"role": "assistant", "content": ""}
    null = {"logprobs": None} if "logprobs" in document["choices"][0] else {}
    usage = {"usage": None} if include_usage else {}
    return spoken(document, include_usage, opening=opening, choice=null, chunk=usage)


def frame(chunk: Chunk) -> bytes:
    """A chunk as an event; a comment as it is."""
    return chunk if isinstance(chunk, bytes) else b"data: " + msgspec.json.encode(chunk) + b"\n\n"


@dataclass(frozen=True, slots=True)
class Pace:
    """When chunks go out; times in seconds, places counted in chunks.

    `every` is from chunk to chunk; before chunk `pause_before` (0 is the first) there are `pause`
    seconds of silence more; before `hold_before` the stream waits for `release`. With `stamped`,
    each chunk has a field `sim_sent_at`: the monotonic clock of this machine.
    """

    every: float = 0.0
    pause: float = 0.0
    pause_before: int = 1
    hold_before: int | None = None
    stamped: bool = False


class Player:
    """One stream on one connection."""

    def __init__(
        self,
        exchange: Exchange,
        chunks: Sequence[Chunk],
        pace: Pace,
        *,
        hold: Callable[[Callable[[], None]], None],
        on_end: Callable[[], None],
    ) -> None:
        self._exchange = exchange
        self._chunks = chunks
        self._pace = pace
        self._hold = hold
        self._on_end = on_end
        self._next = 0
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()

    def play(self) -> None:
        """Send what is due, and come again for the rest."""
        while not self._exchange.closed:
            if self._next == len(self._chunks):
                self._on_end()
                return
            if self._next == self._pace.hold_before:
                self._pace = Pace(every=self._pace.every, stamped=self._pace.stamped)
                self._hold(self._resume)
                return
            if (due := self._due(self._next)) > self._loop.time():
                self._loop.call_at(due, self.play)
                return
            self._send(self._chunks[self._next])
            self._next += 1

    def _resume(self) -> None:
        self._began = self._loop.time() - self._next * self._pace.every
        self.play()

    def _due(self, place: int) -> float:
        # From the beginning, so that late chunks do not make the next ones late.
        paused = self._pace.pause if place >= self._pace.pause_before else 0.0
        return self._began + place * self._pace.every + paused

    def _send(self, chunk: Chunk) -> None:
        if self._pace.stamped and not isinstance(chunk, bytes):
            chunk = {**chunk, "sim_sent_at": time.monotonic()}
        self._exchange.write(frame(chunk))
