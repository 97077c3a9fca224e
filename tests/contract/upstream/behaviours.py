"""What upstreams do to a connection after it stands, and what the call must be called then."""

from __future__ import annotations

import asyncio
import gzip
from dataclasses import dataclass
from typing import Final

from shared.errors import (
    UpstreamAuthenticationFailed,
    UpstreamFailure,
    UpstreamInvalidAnswer,
    UpstreamLoading,
    UpstreamRateLimited,
    UpstreamRefused,
    UpstreamRouteMissing,
    UpstreamServerError,
    UpstreamStreamBroken,
    UpstreamTimeout,
)
from shared.upstream import ConnectionLost
from tests.contract.upstream.stage import Script, Wire, answering, http

HEAD: Final = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
GOOD: Final = b'{"choices":[{"index":0,"message":{"role":"assistant","content":"hi"}}]}'


@dataclass(frozen=True)
class Expected:
    """The class of the failure and its facts; `says` stands in the message."""

    kind: type[UpstreamFailure] | type[ConnectionLost]
    billed: bool = False
    phase: str | None = None
    status: int | None = None
    refused_for_now: bool = False
    retry_after: float | None = None
    says: str = ""


async def close_at_once(wire: Wire) -> None:
    pass


async def reset_at_once(wire: Wire) -> None:
    await wire.touched()  # a RST that overtakes the accept is a refused connection
    wire.reset()


async def read_then_close(wire: Wire) -> None:
    await wire.request()


async def read_then_reset(wire: Wire) -> None:
    await wire.request()
    wire.reset()


async def silence(wire: Wire) -> None:
    await wire.request()
    await wire.hang_up()


def drip(first: bytes, unit: bytes) -> Script:
    async def script(wire: Wire) -> None:
        await wire.request()
        await wire.send(first)
        while True:
            await wire.send(unit)
            await asyncio.sleep(0.02)

    return script


def stall(raw: bytes) -> Script:
    async def script(wire: Wire) -> None:
        await wire.request()
        await wire.send(raw)
        await wire.hang_up()

    return script


def reset_after(raw: bytes) -> Script:
    async def script(wire: Wire) -> None:
        await wire.request()
        await wire.send(raw)
        await asyncio.sleep(0.05)  # a RST discards what the peer has not read yet
        wire.reset()

    return script


def later(first: bytes, second: bytes) -> Script:
    async def script(wire: Wire) -> None:
        await wire.request()
        await wire.send(first)
        await asyncio.sleep(0.05)
        await wire.send(second)

    return script


def flood(first: bytes, unit: bytes) -> Script:
    async def script(wire: Wire) -> None:
        await wire.request()
        await wire.send(first)
        while True:
            await wire.send(unit)

    return script


LOST = Expected(ConnectionLost, billed=True)
BROKEN = Expected(UpstreamStreamBroken, billed=True, says="broke off")
INVALID = Expected(UpstreamInvalidAnswer, billed=True)
NOT_HTTP = Expected(UpstreamInvalidAnswer, billed=True, says="break its rules")
LATE_HEAD = Expected(UpstreamTimeout, billed=True, phase="first_byte")
MODEL_404 = b'{"error":{"message":"The model `m` does not exist","code":"model_not_found"}}'
LOADING_503 = b'{"error":{"message":"Loading model","type":"unavailable_error","code":503}}'


def invalid(says: str) -> Expected:
    return Expected(UpstreamInvalidAnswer, billed=True, status=200, says=says)


BEHAVIOURS: Final[dict[str, tuple[Script, Expected]]] = {
    # the connection ends or stands still before the answer's head
    "accepts, then closes": (close_at_once, LOST),
    "accepts, then resets": (reset_at_once, LOST),
    "reads the request, then closes": (read_then_close, LOST),
    "reads the request, then resets": (read_then_reset, LOST),
    "closes inside the status line": (answering(b"HTTP/1.1 20"), LOST),
    "closes inside the headers": (answering(HEAD + b"X-Half"), LOST),
    "resets inside the headers": (reset_after(HEAD + b"X-Half"), LOST),
    "is silent": (silence, LATE_HEAD),
    "drips headers": (drip(HEAD, b"X: y\r\n"), LATE_HEAD),
    "sends endless 1xx": (drip(b"", b"HTTP/1.1 102 Processing\r\n\r\n"), LATE_HEAD),
    # no HTTP
    "answers garbage": (answering(b"\x00\x01garbage\r\n\r\n"), NOT_HTTP),
    "answers HTTP/0.9": (answering(b"<html>hello</html>"), NOT_HTTP),
    "answers a bad status": (answering(b"HTTP/1.1 abc OK\r\n\r\n"), NOT_HTTP),
    "answers as SSH": (answering(b"SSH-2.0-OpenSSH_9.6\r\n"), NOT_HTTP),
    "gives two lengths": (
        answering(HEAD + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}"),
        NOT_HTTP,
    ),
    "sends a header of 1 MB": (
        answering(HEAD + b"X: " + b"y" * 2**20 + b"\r\n\r\n"),
        NOT_HTTP,
    ),
    "sends 100,000 headers": (answering(HEAD + b"X: y\r\n" * 100_000 + b"\r\n"), NOT_HTTP),
    # the body breaks, stalls or floods
    "closes inside the body": (answering(HEAD + b"Content-Length: 99\r\n\r\n{"), BROKEN),
    "resets inside the body": (reset_after(HEAD + b"Content-Length: 99\r\n\r\n{"), BROKEN),
    "sends a bad chunk size": (
        answering(HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n"),
        NOT_HTTP,
    ),
    "sends a bad chunk size later": (
        later(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"zz\r\n{}\r\n"),
        NOT_HTTP,
    ),
    "leaves the last chunk out": (
        answering(HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n"),
        BROKEN,
    ),
    "stops inside the body": (
        stall(HEAD + b"Content-Length: 99\r\n\r\n{"),
        Expected(UpstreamTimeout, billed=True, phase="idle"),
    ),
    "never begins the body": (
        stall(HEAD + b"Content-Length: 99\r\n\r\n"),
        Expected(UpstreamTimeout, billed=True, phase="idle"),
    ),
    "drips the body": (
        drip(HEAD + b"\r\n", b" "),
        Expected(UpstreamTimeout, billed=True, phase="total"),
    ),
    "announces a huge body": (
        stall(HEAD + b"Content-Length: 99999999999\r\n\r\n"),
        invalid("a body over 8 MiB"),
    ),
    "sends an endless body": (flood(HEAD + b"\r\n", b" " * 2**16), invalid("a body over 8 MiB")),
    "gives too small a length": (
        answering(HEAD + b"Content-Length: 5\r\n\r\n" + GOOD),
        NOT_HTTP,
    ),
    # a good status with a bad body
    "answers 200 HTML": (answering(http(200, b"<html>", "text/html")), invalid("an HTML page")),
    "answers 200 HTML as JSON": (answering(http(200, b"<html>")), invalid("no JSON")),
    "answers 200 empty": (answering(http(200)), invalid("an empty body")),
    "answers 204": (
        answering(b"HTTP/1.1 204 No Content\r\n\r\n"),
        Expected(UpstreamInvalidAnswer, billed=True, status=204, says="an empty body"),
    ),
    "answers a model list": (answering(http(200, b'{"data":[]}')), invalid("list of choices")),
    "answers a stream": (
        answering(http(200, b"data: [DONE]\n\n", "text/event-stream")),
        invalid("a stream"),
    ),
    "answers gzip": (
        answering(http(200, gzip.compress(GOOD), "application/json", "Content-Encoding: gzip")),
        invalid("a compressed body"),
    ),
    "answers a gzip bomb": (
        answering(
            http(200, gzip.compress(b" " * 2**25), "application/json", "Content-Encoding: gzip")
        ),
        invalid("a compressed body"),
    ),
    "answers NaN": (answering(http(200, b'{"choices":[],"x":NaN}')), invalid("no JSON")),
    "answers JSON 100,000 deep": (
        answering(http(200, b'{"choices":' + b"[" * 100_000 + b"]" * 100_000 + b"}")),
        invalid("deep"),
    ),
    "answers invalid UTF-8": (answering(http(200, b'{"choices":["\xff"]}')), invalid("no JSON")),
    "answers an error inside a 200": (
        answering(http(200, b'{"error":{"message":"overloaded","code":502}}')),
        Expected(UpstreamRefused, billed=True, status=200, says="overloaded"),
    ),
    # a clear refusal
    "redirects": (
        answering(http(302, b"", "text/plain", "Location: http://169.254.169.254/")),
        Expected(UpstreamRefused, status=302, says="redirects are not followed"),
    ),
    "answers 400": (
        answering(http(400, b'{"error":{"message":"bad"}}')),
        Expected(UpstreamRefused, status=400, says="bad"),
    ),
    "answers 401 empty": (answering(http(401)), Expected(UpstreamAuthenticationFailed, status=401)),
    "answers 403": (
        answering(http(403, b'{"error":"no"}')),
        Expected(UpstreamAuthenticationFailed, status=403, says="no"),
    ),
    "answers 404 plain": (
        answering(http(404, b"404 page not found", "text/plain")),
        Expected(UpstreamRouteMissing, status=404, says="404 page not found"),
    ),
    "answers 404 about the model": (
        answering(http(404, MODEL_404)),
        Expected(UpstreamRefused, status=404, says="does not exist"),
    ),
    "answers 405": (answering(http(405)), Expected(UpstreamRouteMissing, status=405)),
    "answers 422": (
        answering(http(422, b'{"error":"too long","error_type":"validation"}')),
        Expected(UpstreamRefused, status=422, says="too long"),
    ),
    "answers 429": (
        answering(http(429)),
        Expected(UpstreamRateLimited, status=429, refused_for_now=True),
    ),
    "answers 429 with Retry-After": (
        answering(http(429, b"", "text/plain", "Retry-After: 7")),
        Expected(UpstreamRateLimited, status=429, refused_for_now=True, retry_after=7),
    ),
    "answers 429 and stalls inside its text": (
        stall(b"HTTP/1.1 429 X\r\nContent-Length: 99\r\nRetry-After: 99999\r\n\r\nslow"),
        Expected(UpstreamRateLimited, status=429, refused_for_now=True, retry_after=900),
    ),
    "answers 429 and closes inside its text": (
        answering(b"HTTP/1.1 429 X\r\nContent-Length: 99\r\n\r\nhalf a word"),
        Expected(UpstreamRateLimited, status=429, refused_for_now=True, says="half a word"),
    ),
    "answers 500 HTML": (
        answering(http(500, b"<html>secret stack</html>", "text/html")),
        Expected(UpstreamServerError, status=500),
    ),
    "answers 500 without end": (
        flood(b"HTTP/1.1 500 X\r\nContent-Type: text/plain\r\n\r\n", b"x" * 2**16),
        Expected(UpstreamServerError, status=500),
    ),
    "answers 502": (
        answering(http(502)),
        Expected(UpstreamServerError, billed=True, status=502),
    ),
    "answers 504": (
        answering(http(504)),
        Expected(UpstreamServerError, billed=True, status=504),
    ),
    "answers 503 loading": (
        answering(http(503, LOADING_503, "application/json", "Retry-After: 3")),
        Expected(UpstreamLoading, status=503, refused_for_now=True, retry_after=3),
    ),
    "answers 503 HTML": (
        answering(http(503, b"<html>", "text/html")),
        Expected(UpstreamServerError, status=503, refused_for_now=True),
    ),
}
