"""What a behaviour is, and the small parts that most are made of."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from tests.simulators.hostile._wire import Wire

DRIP_SECONDS = 0.02
JSON_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


@dataclass(frozen=True, slots=True)
class Asked:
    """One request: `models` tells the models route from the chat route; `key` may be empty."""

    path: str
    models: bool
    key: str

    @classmethod
    def of(cls, raw: bytes) -> Asked:
        """What a raw request asks for."""
        first, *lines = raw.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, _, value in (one.partition(": ") for one in lines)}
        path = first.split(" ")[1]
        key = headers.get("authorization", "").removeprefix("Bearer ")
        return cls(path, path.partition("?")[0].endswith("/models"), key)


Play: TypeAlias = Callable[[Wire, Asked], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Behaviour:
    """One way to misbehave; `name` is the first part of its path, `line` says what it does."""

    name: str
    line: str
    play: Play


def completion(**fields: Any) -> dict[str, Any]:
    """A chat completion as good servers send it."""
    message = {"role": "assistant", "content": "I mean no harm."}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return {"id": "chatcmpl-1", "object": "chat.completion", "choices": [choice], **fields}


def model_list(*ids: Any) -> dict[str, Any]:
    """A model list as good servers send it."""
    entries = [{"id": one, "object": "model", "created": 1} for one in ids or ("harmless",)]
    return {"object": "list", "data": entries}


def good(asked: Asked) -> bytes:
    """The good body for this route."""
    return json.dumps(model_list() if asked.models else completion()).encode()


def http(
    status: int, body: bytes = b"", content_type: str = "application/json", *headers: str
) -> bytes:
    """A whole answer as bytes."""
    lines = [f"HTTP/1.1 {status} Whatever", f"Content-Type: {content_type}", *headers]
    lines += [f"Content-Length: {len(body)}", "Connection: close"]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def raw(answer: bytes | Callable[[Asked], bytes]) -> Play:
    """Send these bytes, then close."""

    async def play(wire: Wire, asked: Asked) -> None:
        await wire.send(answer(asked) if callable(answer) else answer)

    return play


def body(text: bytes | Callable[[Asked], bytes], content_type: str = "application/json") -> Play:
    """Answer 200 with this body."""
    return raw(lambda asked: http(200, text(asked) if callable(text) else text, content_type))


def then_silence(first: bytes) -> Play:
    """Send these bytes, then nothing until the client leaves."""

    async def play(wire: Wire, asked: Asked) -> None:
        await wire.send(first)
        await wire.hang_up()

    return play


def then_reset(first: bytes) -> Play:
    """Send these bytes, then a RST."""

    async def play(wire: Wire, asked: Asked) -> None:
        await wire.send(first)
        await asyncio.sleep(0.05)  # a RST discards what the peer has not read yet
        wire.reset()

    return play


def dripping(first: bytes, unit: bytes, every: float = DRIP_SECONDS) -> Play:
    """Send these bytes, then one unit every so many seconds for ever."""

    async def play(wire: Wire, asked: Asked) -> None:
        await wire.send(first)
        while True:
            await wire.send(unit)
            await asyncio.sleep(every)

    return play


def flooding(first: bytes, unit: bytes) -> Play:
    """Send these bytes, then units as fast as they are taken, for ever."""

    async def play(wire: Wire, asked: Asked) -> None:
        await wire.send(first)
        while True:
            await wire.send(unit)

    return play
