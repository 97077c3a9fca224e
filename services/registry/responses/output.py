"""A job's chunks as output items, and as the events on the way there.

Both come from the same fold, and of nothing but the chunks: so every reader, of every process, gets
the same events under the same numbers, and the items that an ended response shows are those that
its events told.

A choice speaks in items one after the other (reasoning, message); its function calls stand side by
side until the end, because servers mix the pieces of several. Nothing here raises, whatever the
chunks hold: they come from strangers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, Literal

import gevent
import msgspec

from services.registry.responses.items import Call, Event, Item, Kind, Spoken
from shared.chunks import MOST_CHOICES, CallPlaces

MOST_ITEMS: Final = 1_024
CHUNKS_AT_ONCE: Final = 500
_CHUNK: Final = msgspec.json.Decoder(dict[str, Any])


class Output:
    """Chunks in, events out; the items grow meanwhile. `bare` is the job's id.

    `finish_reason` is that of the first choice.
    """

    def __init__(self, bare: str) -> None:
        self.finish_reason: str | None = None
        self._bare = bare
        self._items: list[Item] = []
        self._voices: dict[int, _Voice] = {}

    def add(self, chunk: Mapping[str, Any]) -> Iterator[Event]:
        """The events of the next chunk; it is taken in as they are read."""
        for place, choice in enumerate(_list(chunk.get("choices"))):
            if not isinstance(choice, dict):
                continue
            index = choice.get("index")
            number = index if type(index) is int else place
            if number not in self._voices:
                if len(self._voices) == MOST_CHOICES:
                    continue
                self._voices[number] = _Voice(self)
            yield from self._voices[number].add(choice)
            reason = choice.get("finish_reason")
            if isinstance(reason, str) and number == min(self._voices):
                self.finish_reason = reason

    def all_of(self, chunks: Iterable[bytes]) -> Iterator[Event]:
        """The events of these chunks, which are JSON; lets others of the process go on meanwhile.

        About 10 µs a chunk, and a log may hold tens of thousands.
        """
        for number, chunk in enumerate(chunks, 1):
            yield from self.add(_CHUNK.decode(chunk))
            if number % CHUNKS_AT_ONCE == 0:
                gevent.sleep(0)

    def end(self, *, whole: bool) -> Iterator[Event]:
        """The events that close what is open; as incomplete, unless the answer is whole."""
        for number in sorted(self._voices):
            yield from self._voices[number].end("completed" if whole else "incomplete")

    @property
    def full(self) -> bool:
        """Whether no item may begin any more."""
        return len(self._items) >= MOST_ITEMS

    def items(self) -> list[dict[str, Any]]:
        """The items as they are now."""
        return [item.document() for item in self._items]

    def begin(self, item: Item) -> Event:
        """Give an item its place and its id."""
        item.index = len(self._items)
        item.id = f"{item.prefix}_{self._bare}_{item.index}"
        self._items.append(item)
        return {
            "type": "response.output_item.added",
            "output_index": item.index,
            "item": item.document(),
        }


class _Voice:
    """One choice."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._spoken: Spoken | None = None
        self._calls: dict[int, Call] = {}
        self._places = CallPlaces()

    def add(self, choice: Mapping[str, Any]) -> Iterator[Event]:
        delta = choice.get("delta")
        if not isinstance(delta, dict):
            return
        logprobs = _logprobs(choice.get("logprobs"))
        for kind, text in _texts(delta):
            yield from self._say(kind, text, logprobs if kind == "output_text" else [])
        for place, piece in self._places.of(_pieces(delta)):
            if self._spoken is not None:
                yield from self._close_spoken("completed")
            if place not in self._calls:
                if self._output.full:
                    continue
                self._calls[place] = Call()
            call = self._calls[place]
            call.take(piece)
            yield from call.tell(self._output.begin)

    def end(self, status: str) -> Iterator[Event]:
        yield from self._close_spoken(status)
        for place in sorted(self._calls):
            yield from self._calls[place].tell(self._output.begin, at_last=True)
            yield from self._calls[place].close(status)

    def _say(self, kind: Kind, text: str, logprobs: list[Any]) -> Iterator[Event]:
        type_: Literal["message", "reasoning"]
        type_ = "reasoning" if kind == "reasoning_text" else "message"
        if self._spoken is None or self._spoken.type != type_:
            if self._output.full:
                return
            yield from self._close_spoken("completed")
            self._spoken = Spoken(type_)
            yield self._output.begin(self._spoken)
        yield from self._spoken.say(kind, text, logprobs)

    def _close_spoken(self, status: str) -> Iterator[Event]:
        spoken, self._spoken = self._spoken, None
        if spoken is not None:
            yield from spoken.close(status)


def _texts(delta: Mapping[str, Any]) -> Iterator[tuple[Kind, str]]:
    """What one delta says, in the order in which models do."""
    # Servers call it by either name; some send both, with the same text.
    thought = delta.get("reasoning_content") or delta.get("reasoning")
    if isinstance(thought, str) and thought:
        yield "reasoning_text", thought
    content = delta.get("content")
    if isinstance(content, str):
        content = [{"type": "text", "text": content}]
    for part in _list(content):  # Mistral's come in parts, thoughts among them
        if not isinstance(part, dict):
            continue
        if isinstance(text := part.get("text"), str) and text:
            yield "output_text", text
        for inner in _list(part.get("thinking")):
            text = inner.get("text") if isinstance(inner, dict) else None
            if isinstance(text, str) and text:
                yield "reasoning_text", text
    refusal = delta.get("refusal")
    if isinstance(refusal, str) and refusal:
        yield "refusal", refusal


def _pieces(delta: Mapping[str, Any]) -> list[Any]:
    """Pieces of function calls; the form that OpenAI had before has neither list nor id."""
    former = delta.get("function_call")
    if isinstance(former, dict):
        return [{"index": 0, "function": former}]
    return _list(delta.get("tool_calls"))


def _logprobs(given: Any) -> list[Any]:
    return _list(given.get("content")) if isinstance(given, dict) else []


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
