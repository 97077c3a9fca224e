"""The chunks of a streamed chat completion, folded into the completion that they add up to.

What an upstream streamed is stored, and told, as if it had not been streamed: the worker folds the
chunks of a call into its result, and the registry folds a stored log. Nothing here raises, whatever
the chunks hold: they come from strangers. Of choices, calls and fields, the surplus over what any
server sends is left out: 8 MiB of `{"index":1},…` would become 200 MB.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Protocol, TypeAlias


MOST_CHOICES: Final = 128  # OpenAI's bound on `n`
MOST_CALLS: Final = 128  # its bound on tools
MOST_FIELDS: Final = 256  # of one object
_MOST_PIECES: Final = 1024  # of a text before they become one: each takes 50 bytes beside its text


class Fold:
    """Chunks in, one completion out, once all came."""

    def __init__(self) -> None:
        self._chunk = _Object(_CHUNK, _Last)

    def add(self, chunk: Mapping[str, Any]) -> None:
        """Take the next chunk."""
        self._chunk.add(chunk)

    def completion(self) -> dict[str, Any]:
        """The completion; its `choices` have a `message` as those of an unstreamed answer."""
        document = self._chunk.value()
        choices = document.get("choices") or []
        return {**document, "object": "chat.completion", "choices": choices}


def folded(chunks: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The completion that these chunks add up to."""
    fold = Fold()
    for chunk in chunks:
        fold.add(chunk)
    return fold.completion()


def is_usage_only(chunk: Mapping[str, Any]) -> bool:
    """Whether a chunk says how many tokens were used, and nothing else.

    OpenAI's has no choices; LiteLLM's has one with an empty delta, OpenRouter's one that repeats
    the role and an empty content.
    """
    if not isinstance(chunk.get("usage"), dict):
        return False
    choices = chunk.get("choices")
    return not isinstance(choices, list) or not any(map(_says_something, choices))


def _says_something(choice: Any) -> bool:
    if not isinstance(choice, dict):
        return False
    delta = choice.get("delta")
    spoken = isinstance(delta, dict) and any(delta[name] for name in delta if name != "role")
    return spoken or choice.get("finish_reason") is not None


class _Part(Protocol):
    """What the values of one field add up to; a null is never added."""

    def add(self, value: Any, /) -> None: ...

    def value(self) -> Any: ...


_MakePart: TypeAlias = Callable[[], _Part]


class _Last:
    """The last value wins."""

    def __init__(self) -> None:
        self._value: Any = None

    def add(self, value: Any) -> None:
        self._value = value

    def value(self) -> Any:
        return self._value


class _First:
    """The first value that is not empty wins: vLLM once gave each piece of a call a new id."""

    def __init__(self) -> None:
        self._value: Any = None

    def add(self, value: Any) -> None:
        self._value = self._value or value

    def value(self) -> Any:
        return self._value


class _Text:
    """Strings concatenate; of anything else the last wins."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._other: Any = None

    def add(self, value: Any) -> None:
        if isinstance(value, str):
            pieces = self._pieces
            pieces.append(value)
            if len(pieces) > _MOST_PIECES:
                pieces[:] = ("".join(pieces),)
            self._other = None
        else:
            self._pieces.clear()
            self._other = value

    def value(self) -> Any:
        return "".join(self._pieces) if self._other is None else self._other


class _Name(_Text):
    """Strings concatenate, unless one repeats the whole: some servers name the tool every time."""

    def add(self, value: Any) -> None:
        if value != self.value():
            super().add(value)


class _Listed:
    """Lists concatenate; of anything else the last wins."""

    def __init__(self) -> None:
        self._value: Any = None

    def add(self, value: Any) -> None:
        if isinstance(value, list) and isinstance(self._value, list):
            self._value.extend(value)
        else:
            self._value = [*value] if isinstance(value, list) else value

    def value(self) -> Any:
        return self._value


class _Content(_Text):
    """Text; or a list of parts (Mistral's), among which text that came without is a part, too."""

    def __init__(self) -> None:
        super().__init__()
        self._parts: list[Any] = []

    def add(self, value: Any) -> None:
        if not isinstance(value, list):
            super().add(value)
            return
        self._close_text()
        self._parts.extend(value)

    def value(self) -> Any:
        if not self._parts:
            return super().value()
        self._close_text()
        return self._parts

    def _close_text(self) -> None:
        if text := "".join(self._pieces):
            self._parts.append({"type": "text", "text": text})
        self._pieces.clear()


class _Object:
    """Each field by the rule of its name; a field that only came as null stays null."""

    def __init__(self, rules: Mapping[str, _MakePart], otherwise: _MakePart) -> None:
        self._rules = rules
        self._otherwise = otherwise
        self._parts: dict[str, _Part | None] = {}

    def add(self, fields: Any) -> None:
        if not isinstance(fields, dict):
            return
        parts = self._parts
        for name, value in fields.items():
            if value is None:
                if len(parts) < MOST_FIELDS:
                    parts.setdefault(name, None)
                continue
            part = parts.get(name)
            if part is None:
                if len(parts) >= MOST_FIELDS:
                    continue
                part = parts[name] = self._rules.get(name, self._otherwise)()
            part.add(value)

    def value(self) -> dict[str, Any]:
        return {name: part and part.value() for name, part in self._parts.items()}


class _Choices:
    """Choices by their index, or by their place when it is missing."""

    def __init__(self) -> None:
        self._choices: dict[int, _Object] = {}

    def add(self, choices: Any) -> None:
        for place, choice in enumerate(choices if isinstance(choices, list) else ()):
            if isinstance(choice, dict):
                index = _index(choice)
                index = place if index is None else index
                known = self._choices.get(index)
                if known is None:
                    if len(self._choices) == MOST_CHOICES:
                        continue
                    known = self._choices[index] = _Object(_CHOICE, _Last)
                known.add(choice)

    def value(self) -> list[dict[str, Any]]:
        return [_choice(index, self._choices[index].value()) for index in sorted(self._choices)]


def _choice(index: int, fields: dict[str, Any]) -> dict[str, Any]:
    message = {"role": "assistant", "content": None, **(fields.get("delta") or {})}
    message["role"] = message["role"] or "assistant"
    rest = {name: fields[name] for name in fields if name not in ("index", "delta", "message")}
    return {"index": index, "message": message, **rest}


class CallPlaces:
    """Which piece of a choice belongs to which of its tool calls.

    By their index; where it is missing, by id, or else by name and place. Gemini sends calls
    without an index. Gateways in front of it were seen to give all of them the index 0, each with
    an id and a name of its own; vLLM once gave every piece of one call a new id, but no name.
    """

    def __init__(self) -> None:
        self._ids: dict[int, str] = {}  # by their place in the answer
        self._places: dict[int, int] = {}  # by index
        self._latest = 0
        self._following = 0

    def of(self, pieces: Any) -> list[tuple[int, dict[str, Any]]]:
        """The place of each of these pieces, which came together; what is no object is left out."""
        entries = [entry for entry in _list(pieces) if isinstance(entry, dict)]
        found = []
        for number, entry in enumerate(entries):
            self._latest = self._place(entry, number if len(entries) > 1 else self._latest)
            self._following = max(self._following, self._latest + 1)
            found.append((self._latest, entry))
        return found

    def _place(self, entry: dict[str, Any], continued: int) -> int:
        id_ = entry["id"] if isinstance(entry.get("id"), str) else ""
        function = entry.get("function")
        begins = isinstance(function, dict) and bool(function.get("name"))
        index = _index(entry)
        if index is not None:
            place = self._places.setdefault(index, index)
            if begins and id_ and self._ids.get(place, id_) != id_:
                place = self._places[index] = self._following
        elif id_:
            known = (place for place, other in self._ids.items() if other == id_)
            place = next(known, self._following)
        else:
            place = self._following if begins else continued
        if id_:
            self._ids.setdefault(place, id_)
        return place


class _Calls:
    """Tool calls, each by its own place."""

    def __init__(self) -> None:
        self._calls: dict[int, _Object] = {}
        self._places = CallPlaces()

    def add(self, entries: Any) -> None:
        for place, entry in self._places.of(entries):
            if place not in self._calls:
                self._calls[place] = _Object(_CALL, _Text)
            self._calls[place].add(entry)

    def value(self) -> list[dict[str, Any]]:
        calls = [self._calls[index].value() for index in sorted(self._calls)]
        for call in calls:
            call.pop("index", None)  # an unstreamed answer has none
        return calls


def _index(fields: dict[str, Any]) -> int | None:
    index = fields.get("index")
    return index if type(index) is int else None


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


_FUNCTION: Final[dict[str, _MakePart]] = {"name": _Name}
_AUDIO: Final[dict[str, _MakePart]] = {"id": _First}
_CALL: Final[dict[str, _MakePart]] = {
    "id": _First,
    "type": _Last,
    "function": lambda: _Object(_FUNCTION, _Text),
}
_DELTA: Final[dict[str, _MakePart]] = {
    "role": _Last,
    "content": _Content,
    "tool_calls": _Calls,
    "function_call": lambda: _Object(_FUNCTION, _Text),
    "audio": lambda: _Object(_AUDIO, _Text),
    # Lists that grow: OpenRouter's
    "reasoning_details": _Listed,
    "annotations": _Listed,
    "images": _Listed,
}
_CHOICE: Final[dict[str, _MakePart]] = {
    "delta": lambda: _Object(_DELTA, _Text),
    "logprobs": lambda: _Object({}, _Listed),
    "token_ids": _Listed,  # vLLM's
}
_CHUNK: Final[dict[str, _MakePart]] = {"choices": _Choices}
