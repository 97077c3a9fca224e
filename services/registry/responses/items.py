"""The items of a response while they grow, each with the events of its growth.

Every event lacks only its number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, Literal, TypeAlias

import msgspec

Event = dict[str, Any]
Kind = Literal["output_text", "refusal", "reasoning_text"]

MOST_PARTS: Final = 64  # of one item; those that follow are left out
_FIELD: Final = {"output_text": "text", "refusal": "refusal", "reasoning_text": "text"}


class Spoken:
    """A message, or reasoning: text in one part or more, of which the last is open."""

    def __init__(self, type_: Literal["message", "reasoning"]) -> None:
        self.type = type_
        self.prefix = "msg" if type_ == "message" else "rs"
        self.id = ""
        self.index = -1
        self.status = "in_progress"
        self._parts: list[Part] = []

    def say(self, kind: Kind, text: str, logprobs: list[Any]) -> Iterator[Event]:
        """More text of this kind."""
        if not self._parts or self._parts[-1].kind != kind:
            if len(self._parts) == MOST_PARTS:
                return
            yield from self._close_part()
            self._parts.append(Part(kind))
            yield self._told("response.content_part.added", part=self._parts[-1].document())
        part = self._parts[-1]
        part.pieces.append(text)
        more: dict[str, Any] = {"delta": text}
        if kind == "output_text":
            part.logprobs += logprobs
            more["logprobs"] = logprobs
        yield self._told(f"response.{kind}.delta", **more)

    def close(self, status: str) -> Iterator[Event]:
        """No more comes."""
        yield from self._close_part()
        self.status = status
        yield _done(self)

    def document(self) -> dict[str, Any]:
        """The output item."""
        content = [part.document() for part in self._parts]
        head = {"id": self.id, "type": self.type, "status": self.status}
        if self.type == "message":
            return {**head, "role": "assistant", "content": content}
        return {**head, "summary": [], "content": content}

    def _close_part(self) -> Iterator[Event]:
        if not self._parts:
            return
        part = self._parts[-1]
        document = part.document()
        more = {_FIELD[part.kind]: document[_FIELD[part.kind]]}
        if part.kind == "output_text":
            more["logprobs"] = part.logprobs
        yield self._told(f"response.{part.kind}.done", **more)
        yield self._told("response.content_part.done", part=document)

    def _told(self, type_: str, **more: Any) -> Event:
        return {
            "type": type_,
            "item_id": self.id,
            "output_index": self.index,
            "content_index": len(self._parts) - 1,
            **more,
        }


class Call:
    """A call of a function; shown once its name and its id are known."""

    prefix = "fc"

    def __init__(self) -> None:
        self.id = ""
        self.index = -1
        self.status = "in_progress"
        self._call_id = ""
        self._name = ""
        self._pieces: list[str] = []
        self._told = 0  # pieces that events have told

    def take(self, piece: Mapping[str, Any]) -> None:
        """The next piece of it."""
        function = piece.get("function")
        function = function if isinstance(function, dict) else {}
        id_, name, arguments = piece.get("id"), function.get("name"), function.get("arguments")
        if isinstance(id_, str):
            self._call_id = self._call_id or id_
        if isinstance(name, str) and name != self._name:  # some servers repeat it every time
            self._name += name
        if arguments is not None and arguments != "":
            is_text = isinstance(arguments, str)
            self._pieces.append(arguments if is_text else msgspec.json.encode(arguments).decode())

    def tell(self, begin: Begin, *, at_last: bool = False) -> Iterator[Event]:
        """What is new, unless it cannot be shown yet."""
        if self.index < 0:
            if not (at_last or (self._call_id and self._name)):
                return
            pieces, self._pieces = self._pieces, []
            added = begin(self)
            self._call_id = self._call_id or f"call_{self.id.removeprefix('fc_')}"
            added["item"] = self.document()
            self._pieces = pieces
            yield added
        for piece in self._pieces[self._told :]:
            self._told += 1
            yield self._event("response.function_call_arguments.delta", delta=piece)

    def close(self, status: str) -> Iterator[Event]:
        """No more comes."""
        arguments = "".join(self._pieces)
        yield self._event("response.function_call_arguments.done", arguments=arguments)
        self.status = status
        yield _done(self)

    def document(self) -> dict[str, Any]:
        """The output item."""
        return {
            "id": self.id,
            "type": "function_call",
            "status": self.status,
            "call_id": self._call_id,
            "name": self._name,
            "arguments": "".join(self._pieces),
        }

    def _event(self, type_: str, **more: str) -> Event:
        return {"type": type_, "item_id": self.id, "output_index": self.index, **more}


class Part:
    """A piece of an item's content."""

    def __init__(self, kind: Kind) -> None:
        self.kind: Kind = kind
        self.pieces: list[str] = []
        self.logprobs: list[Any] = []

    def document(self) -> dict[str, Any]:
        """The content part."""
        document: dict[str, Any] = {"type": self.kind, _FIELD[self.kind]: "".join(self.pieces)}
        if self.kind == "output_text":
            document |= {"annotations": [], "logprobs": list(self.logprobs)}
        return document


Item: TypeAlias = Spoken | Call
Begin: TypeAlias = Callable[[Item], Event]


def _done(item: Item) -> Event:
    return {
        "type": "response.output_item.done",
        "output_index": item.index,
        "item": item.document(),
    }
