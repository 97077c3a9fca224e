"""Connections that stall, break or flood, and bytes that are no HTTP."""

from __future__ import annotations

from typing import Final

from tests.simulators.hostile._behaviour import (
    JSON_HEAD,
    Asked,
    Behaviour,
    dripping,
    flooding,
    good,
    raw,
    then_reset,
    then_silence,
)

_CHUNKED: Final = JSON_HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


def _length(asked: Asked, more: int) -> bytes:
    text = good(asked)
    return JSON_HEAD + b"Content-Length: %d\r\n\r\n" % (len(text) + more) + text


def _length_twice(asked: Asked) -> bytes:
    text = good(asked)
    length = b"Content-Length: %d\r\nContent-Length: 2\r\n\r\n" % len(text)
    return JSON_HEAD + length + text


def _one_chunk(asked: Asked) -> bytes:
    text = good(asked)
    return _CHUNKED + b"%x\r\n" % len(text) + text + b"\r\n"


FRAMING: Final = (
    Behaviour("silence", "reads the request, then says nothing", then_silence(b"")),
    Behaviour(
        "header-drip",
        "sends a header every 0.2 s for ever",  # faster, and they would soon be too many
        dripping(JSON_HEAD, b"X: y\r\n", every=0.2),
    ),
    Behaviour(
        "body-drip", "sends a space every 20 ms for ever", dripping(JSON_HEAD + b"\r\n", b" ")
    ),
    Behaviour(
        "reset-in-headers", "resets inside the headers", then_reset(JSON_HEAD + b"X-Half: y")
    ),
    Behaviour(
        "reset-in-body",
        "resets inside the body",
        then_reset(JSON_HEAD + b'Content-Length: 99\r\n\r\n{"half'),
    ),
    Behaviour(
        "stall-in-body",
        "announces 99 bytes, sends 6, then nothing",
        then_silence(JSON_HEAD + b'Content-Length: 99\r\n\r\n{"half'),
    ),
    Behaviour("100000-headers", "sends 100,000 headers", raw(JSON_HEAD + b"X: y\r\n" * 100_000)),
    Behaviour(
        "1mb-header",
        "sends one header of 1 MB",
        raw(JSON_HEAD + b"X: " + b"y" * 2**20 + b"\r\n\r\n"),
    ),
    Behaviour(
        "endless-1xx",
        "says every 20 ms that it is processing, for ever",
        dripping(b"", b"HTTP/1.1 102 Processing\r\n\r\n"),
    ),
    Behaviour("http-0.9", "answers without status line and headers", raw(good)),
    Behaviour("bad-status-line", "answers HTTP/1.1 abc", raw(b"HTTP/1.1 abc OK\r\n\r\n{}")),
    Behaviour(
        "length-too-large", "closes 9 bytes before its Content-Length", raw(lambda a: _length(a, 9))
    ),
    Behaviour(
        "length-too-small", "sends 9 bytes over its Content-Length", raw(lambda a: _length(a, -9))
    ),
    Behaviour("length-twice", "gives two different Content-Lengths", raw(_length_twice)),
    Behaviour("bad-chunk-size", "gives a chunk the size zz", raw(_CHUNKED + b"zz\r\n{}\r\n")),
    Behaviour("no-last-chunk", "closes without the last, empty chunk", raw(_one_chunk)),
    Behaviour(
        "endless-body", "sends spaces without an end", flooding(JSON_HEAD + b"\r\n", b" " * 2**16)
    ),
    Behaviour(
        "huge-length",
        "announces 100 GB, then nothing",
        then_silence(JSON_HEAD + b"Content-Length: 99999999999\r\n\r\n"),
    ),
)
