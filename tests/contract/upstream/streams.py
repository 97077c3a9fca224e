"""How streams end: what the server sends, and what the call must be called then."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import Any, Final

from shared.errors import (
    UpstreamFailure,
    UpstreamInvalidAnswer,
    UpstreamRefused,
    UpstreamStreamBroken,
    UpstreamTimeout,
)
from tests.contract.upstream.stage import Script, Wire, http

HEAD: Final = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
CHUNKED: Final = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
DONE: Final = b"data: [DONE]\n\n"
END: Final = b"0\r\n\r\n"


@dataclass(frozen=True)
class Broken:
    """The failure of a stream, after so many chunks; `says` stands in its message."""

    kind: type[UpstreamFailure]
    chunks: int
    says: str = ""
    phase: str | None = None
    status: int | None = None


def event(**fields: Any) -> bytes:
    return b"data: " + json.dumps(fields).encode() + b"\n\n"


def says(text: str, index: int = 0) -> bytes:
    return event(choices=[{"index": index, "delta": {"content": text}, "finish_reason": None}])


def finishes(index: int = 0, reason: str | None = "stop") -> bytes:
    return event(choices=[{"index": index, "delta": {}, "finish_reason": reason}])


def chunked(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def streams(*parts: bytes, then: str = "end") -> Script:
    """Send a stream's parts, then end the body, cut, reset, or keep silent."""

    async def script(wire: Wire) -> None:
        await wire.request()
        await wire.send(CHUNKED)
        for part in parts:
            await wire.send(chunked(part))
        match then:
            case "end":
                await wire.send(END)
            case "reset":
                await asyncio.sleep(0.02)  # a RST discards what the peer has not read yet
                wire.reset()
            case "silence":
                await wire.hang_up()

    return script


def until_closed(*parts: bytes) -> Script:
    """The same without chunked encoding, so that no cut can be told from an end."""

    async def script(wire: Wire) -> None:
        await wire.request()
        await wire.send(HEAD + b"\r\n" + b"".join(parts))

    return script


def repeats(unit: bytes, *first: bytes, every: float = 0.02) -> Script:
    """Send these parts, then one unit every so many seconds for ever."""

    async def script(wire: Wire) -> None:
        await wire.request()
        await wire.send(CHUNKED + b"".join(chunked(part) for part in first))
        while True:
            await wire.send(chunked(unit))
            await asyncio.sleep(every)

    return script


def answers(raw: bytes, content_type: str) -> Script:
    async def script(wire: Wire) -> None:
        await wire.request()
        await wire.send(http(200, raw, content_type))

    return script


A: Final = says("a")
TGI_ERROR: Final = b'data:{"error":{"message":"too long","http_status_code":422}}\n\n'
FLAT_ERROR: Final = event(object="error", message="flat", type="BadRequestError", code=400)
OPENROUTER_ERROR: Final = event(
    error={"code": 502, "message": "gone"},
    choices=[{"index": 0, "delta": {"content": ""}, "finish_reason": "error"}],
)


def broken(chunks: int, says: str = "neither a finish_reason nor [DONE]") -> Broken:
    return Broken(UpstreamStreamBroken, chunks, says)


def refused(chunks: int, says: str) -> Broken:
    return Broken(UpstreamRefused, chunks, says, status=200)


def invalid(chunks: int, says: str) -> Broken:
    return Broken(UpstreamInvalidAnswer, chunks, says, status=200)


def late(chunks: int, phase: str) -> Broken:
    return Broken(UpstreamTimeout, chunks, f"{phase}_timeout", phase=phase)


EARLY: Final = "its end before the first chunk"
BREAKS: Final[dict[str, tuple[Script, Broken]]] = {
    # the connection
    "is cut": (streams(A, A, then="cut"), broken(2, "broke off")),
    "is reset": (streams(A, then="reset"), broken(1, "broke off")),
    "is cut before the first chunk": (streams(then="cut"), broken(0, "broke off")),
    "is cut inside an event": (streams(A, A[:20], then="cut"), broken(1, "broke off")),
    "is cut after one choice of two": (
        streams(says("a") + says("b", 1), finishes(0), then="cut"),
        broken(3, "broke off"),
    ),
    # the end
    "ends without finish_reason and [DONE]": (streams(A), broken(1)),
    "ends with a finish_reason that is empty": (streams(A, finishes(reason="")), broken(2)),
    "ends after one choice of two": (streams(A + says("b", 1), finishes(1)), broken(3)),
    "ends inside an event, and nothing tells of the cut": (
        until_closed(A, b'data: {"choices":[{"ind'),
        broken(1),
    ),
    "is empty": (streams(), broken(0, EARLY)),
    "is comments alone": (streams(b": wait\n\n", b": wait\n\n"), broken(0, EARLY)),
    "is [DONE] alone": (streams(DONE), invalid(0, "a stream without a chunk")),
    # time
    "never begins": (streams(then="silence"), late(0, "first_byte")),
    "begins with comments for ever": (repeats(b": wait\n\n"), late(0, "first_byte")),
    "drips its first event": (repeats(b"x", b"data: "), late(0, "first_byte")),
    "stands still": (streams(A, then="silence"), late(1, "idle")),
    "stands still inside an event": (streams(A, A[:9], then="silence"), late(1, "idle")),
    "drips comments for ever": (repeats(b":\n\n", A), late(1, "total")),
    # an error inside
    "errs": (streams(A, event(error={"message": "boom"}), DONE), refused(1, "boom")),
    "errs as a text": (streams(A, event(error="boom", error_type="x")), refused(1, "boom")),
    "errs as TGI": (streams(A, TGI_ERROR), refused(1, "too long")),
    "errs as older vLLM": (streams(A, FLAT_ERROR, DONE), refused(1, "flat")),
    "errs as llama-server": (streams(A, b'error: {"message":"full"}\n\n'), refused(1, "full")),
    "errs as an event of its own": (
        streams(A, b'event: error\ndata: {"message":"mine"}\n\n'),
        refused(1, "mine"),
    ),
    "errs as OpenRouter": (streams(A, OPENROUTER_ERROR, DONE), refused(1, "gone")),
    "errs without words": (streams(b"error:\n\ndata: x\n\n"), invalid(0, "a chunk of bytes")),
    "errs before the first chunk": (streams(event(error={"message": "no"})), refused(0, "no")),
    "errs after its finish_reason": (
        streams(A, finishes(), event(error={"message": "late"})),
        refused(2, "late"),
    ),
    # chunks that are none
    "sends no JSON": (streams(A, b"data: {oops\n\n"), invalid(1, "a chunk of bytes that are no")),
    "sends NaN": (streams(b'data: {"choices":[],"x":NaN}\n\n'), invalid(0, "no JSON")),
    "sends invalid UTF-8": (streams(b'data: {"x":"\xff"}\n\n'), invalid(0, "no JSON")),
    "sends a chunk 65 deep": (
        streams(b'data: {"choices":' + b"[" * 64 + b"]" * 64 + b"}\n\n"),
        invalid(0, "nested more than 64 deep"),
    ),
    "sends a number": (streams(A, b"data: 42\n\n"), invalid(1, "a chunk that is no object")),
    "sends a chunk whose choices are no list": (
        streams(event(choices={"index": 0})),
        invalid(0, "a chunk without a list of choices"),
    ),
    "sends a choice that is no object": (
        streams(event(choices=[A.decode()])),
        invalid(0, "a chunk without a list of choices"),
    ),
    # too much
    "sends a line over 1 MiB": (
        streams(A, b"data: " + b"x" * 2**20 + b"\n\n"),
        invalid(1, "a line over 1 MiB"),
    ),
    "sends over 32 MiB": (
        repeats((b":" + b"x" * 2**16 + b"\n") * 8, A, every=0),
        invalid(1, "a stream over 32 MiB"),
    ),
    "sends a choice too many": (
        streams(event(choices=[{"index": index} for index in range(128)]), says("a", 128)),
        invalid(1, "a stream of more than 128 choices"),
    ),
    "sends more values than an answer has, in no chunk too many": (
        streams(A, *[event(choices=[], x=[[]] * 130_000)] * 2),
        invalid(2, "a stream with more values than an answer can have"),
    ),
    # no stream at all
    "is a web page": (answers(b"<html>", "text/html"), invalid(0, "an HTML page")),
    "is a web page that claims to be JSON": (
        answers(b"<html>", "application/json"),
        invalid(0, "no JSON"),
    ),
    "is JSON that is no completion": (
        answers(b'{"data":[]}', "application/json"),
        invalid(0, "JSON without a list of choices"),
    ),
}
