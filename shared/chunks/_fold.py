"""The fold itself: which field of a chunk is of which kind."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from shared.chunks._calls import FUNCTION, Calls, index_of
from shared.chunks._parts import Content, First, Last, Listed, MakePart, Object, Text

MOST_CHOICES: Final = 128  # OpenAI's bound on `n`


class Fold:
    """Chunks in, one completion out, once all came."""

    def __init__(self) -> None:
        self._chunk = Object(_CHUNK, Last)

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


class _Choices:
    """Choices by their index, or by their place when it is missing."""

    def __init__(self) -> None:
        self._choices: dict[int, Object] = {}

    def add(self, choices: Any) -> None:
        for place, choice in enumerate(choices if isinstance(choices, list) else ()):
            if isinstance(choice, dict):
                index = index_of(choice)
                index = place if index is None else index
                known = self._choices.get(index)
                if known is None:
                    if len(self._choices) == MOST_CHOICES:
                        continue
                    known = self._choices[index] = Object(_CHOICE, Last)
                known.add(choice)

    def value(self) -> list[dict[str, Any]]:
        return [_choice(index, self._choices[index].value()) for index in sorted(self._choices)]


def _choice(index: int, fields: dict[str, Any]) -> dict[str, Any]:
    message = {"role": "assistant", "content": None, **(fields.get("delta") or {})}
    message["role"] = message["role"] or "assistant"
    rest = {name: fields[name] for name in fields if name not in ("index", "delta", "message")}
    return {"index": index, "message": message, **rest}


_AUDIO: Final[dict[str, MakePart]] = {"id": First}
_DELTA: Final[dict[str, MakePart]] = {
    "role": Last,
    "content": Content,
    "tool_calls": Calls,
    "function_call": lambda: Object(FUNCTION, Text),
    "audio": lambda: Object(_AUDIO, Text),
    # Lists that grow: OpenRouter's
    "reasoning_details": Listed,
    "annotations": Listed,
    "images": Listed,
}
_CHOICE: Final[dict[str, MakePart]] = {
    "delta": lambda: Object(_DELTA, Text),
    "logprobs": lambda: Object({}, Listed),
    "token_ids": Listed,  # vLLM's
}
_CHUNK: Final[dict[str, MakePart]] = {"choices": _Choices}
