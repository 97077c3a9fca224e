"""The input of `jobs submit`: a chat a line, as OpenAI's chat body or as a line of its batches."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cli.failures import Failure

MOST_FAULTS: Final = 10
MOST_SHOWN: Final = 60  # characters of a line that is told
_URLS: Final = (None, "/v1/chat/completions", "/chat/completions")


class Unusable(Failure):
    """Lines of the input that are no chats; nothing was submitted."""


@dataclass(frozen=True, slots=True)
class Line:
    """One chat; `number` counts the lines of the file from 1."""

    number: int
    custom_id: str | None
    body: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Input:
    """The file, and what is added to each of its chats.

    `run` names a repetition: with another name the same lines are other jobs.
    """

    path: Path
    model: str | None = None
    metadata: dict[str, str] | None = None
    run: str = ""

    def lines(self) -> Iterator[Line]:
        """The chats, empty lines left out; raises Unusable at the first that is none."""
        for number, text in self._texts():
            yield self._line(number, text)

    def check(self) -> int:
        """How many chats there are; raises Unusable with the first faults of all lines."""
        count, faults = 0, []
        ids: dict[str, int] = {}
        for number, text in self._texts():
            try:
                line = self._line(number, text)
                if line.custom_id is not None:
                    first = ids.setdefault(line.custom_id, number)
                    if first != number:
                        raise Unusable(
                            f"line {number}: expected a custom_id of its own, got that of line "
                            f"{first}"
                        )
                count += 1
            except Unusable as fault:
                faults.append(str(fault))
        if faults:
            more = len(faults) - MOST_FAULTS
            shown = faults[:MOST_FAULTS] + ([f"and {more} more"] if more > 0 else [])
            raise Unusable(
                f"{self.path}: nothing was submitted, mend these lines first:\n  "
                + "\n  ".join(shown)
            )
        return count

    def key(self, line: Line) -> str:
        """The Idempotency-Key: the same file, run, line and body make the same job, always."""
        body = json.dumps(line.body, sort_keys=True, ensure_ascii=False)
        parts = (str(self.path.resolve()), self.run, str(line.number), body)
        return "cli-" + hashlib.sha256("\0".join(parts).encode("utf-8", "replace")).hexdigest()

    def _texts(self) -> Iterator[tuple[int, bytes]]:
        with self.path.open("rb") as file:
            for number, text in enumerate(file, 1):
                if text.strip():
                    yield number, text

    def _line(self, number: int, text: bytes) -> Line:
        try:
            found = json.loads(text, parse_constant=_refuse)
        except ValueError as fault:
            told = f"got {_begin(text)} ({_why(fault)})"
            raise Unusable(f"line {number}: expected a JSON object, {told}") from None
        if not isinstance(found, dict):
            raise Unusable(f"line {number}: expected a JSON object, got {_begin(text)}")
        custom_id: Any = None
        body: Any = found
        if "body" in found and "messages" not in found:
            custom_id, body = found.get("custom_id"), found["body"]
            if found.get("url") not in _URLS or found.get("method", "POST") != "POST":
                raise Unusable(f"line {number}: expected POST /v1/chat/completions, got another")
            if custom_id is not None and not isinstance(custom_id, str):
                raise Unusable(f"line {number}: expected a text as custom_id, got another")
        if not isinstance(body, dict) or not isinstance(body.get("messages"), list):
            raise Unusable(
                f'line {number}: expected a chat like {{"messages": [{{"role": "user", "content": '
                '"Hello"}]}, got no list `messages`'
            )
        if body.get("stream"):
            raise Unusable(f"line {number}: expected no `stream`: jobs are read when they ended")
        return Line(number, custom_id, self._completed(number, body))

    def _completed(self, number: int, body: dict[str, Any]) -> dict[str, Any]:
        if self.model is not None:
            body.setdefault("model", self.model)
        if not isinstance(body.get("model"), str):
            raise Unusable(f"line {number}: expected a `model`, got none; --model gives one to all")
        if self.metadata:
            given = body.get("metadata")
            body["metadata"] = {**(given if isinstance(given, dict) else {}), **self.metadata}
        body["background"] = True
        return body


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _begin(text: bytes) -> str:
    """The first characters of a line, in quotes."""
    said = text.strip().decode("utf-8", "replace")
    return repr(said if len(said) <= MOST_SHOWN else f"{said[:MOST_SHOWN]}…")


def _why(fault: ValueError) -> str:
    if isinstance(fault, json.JSONDecodeError):
        return f"{fault.msg}: character {fault.pos + 1}"
    if isinstance(fault, UnicodeDecodeError):
        return f"byte {fault.start + 1} is no {fault.encoding.upper()}"
    return str(fault)
