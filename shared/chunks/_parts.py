"""What the values of one field add up to, by the field's kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol, TypeAlias

MOST_FIELDS: Final = 256  # of one object
_MOST_PIECES: Final = 256  # of a text before they become one: each takes 50 bytes beside its text


class Part(Protocol):
    """What the values of one field add up to; a null is never added."""

    def add(self, value: Any, /) -> None: ...

    def value(self) -> Any: ...


MakePart: TypeAlias = Callable[[], Part]


class Last:
    """The last value wins."""

    def __init__(self) -> None:
        self._value: Any = None

    def add(self, value: Any) -> None:
        self._value = value

    def value(self) -> Any:
        return self._value


class First:
    """The first value that is not empty wins: vLLM once gave each piece of a call a new id."""

    def __init__(self) -> None:
        self._value: Any = None

    def add(self, value: Any) -> None:
        self._value = self._value or value

    def value(self) -> Any:
        return self._value


class Text:
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


class Name(Text):
    """Strings concatenate, unless one repeats the whole: some servers name the tool every time."""

    def add(self, value: Any) -> None:
        if value != self.value():
            super().add(value)


class Listed:
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


class Content(Text):
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


class Object:
    """Each field by the rule of its name; a field that only came as null stays null."""

    def __init__(self, rules: Mapping[str, MakePart], otherwise: MakePart) -> None:
        self._rules = rules
        self._otherwise = otherwise
        self._parts: dict[str, Part | None] = {}

    def add(self, fields: Any) -> None:
        if not isinstance(fields, dict):
            return
        parts = self._parts
        for name, value in fields.items():
            if name not in parts and len(parts) == MOST_FIELDS:
                continue
            if value is None:
                parts.setdefault(name, None)
                continue
            part = parts.get(name)
            if part is None:
                part = parts[name] = self._rules.get(name, self._otherwise)()
            part.add(value)

    def value(self) -> dict[str, Any]:
        return {name: part and part.value() for name, part in self._parts.items()}
