"""Refusals, redirects, pages, streams, compression, and our own key sent back."""

from __future__ import annotations

import gzip
import json
from typing import Final
from urllib.parse import quote

from tests.simulators.hostile._behaviour import (
    Asked,
    Behaviour,
    body,
    completion,
    dripping,
    good,
    http,
    model_list,
    raw,
)

_PAGE: Final = b"<!DOCTYPE html><html><head><title>Oops</title></head><body><h1>500</h1></body>"
_EVENT: Final = b'data: {"choices":[{"index":0,"delta":{"content":"half"}}]}\n\n'
_STREAM: Final = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
_BUSY: Final = b'{"error":{"message":"Slow down.","type":"rate_limit_error"}}'
# Members of a gzip file follow each other: 256 MiB of spaces in 256 KB.
_BOMB: Final = gzip.compress(b" " * 2**20) * 256


def _packed(asked: Asked) -> bytes:
    return http(200, gzip.compress(good(asked)), "application/json", "Content-Encoding: gzip")


def _busy(wait: str) -> bytes:
    return http(429, _BUSY, "application/json", f"Retry-After: {wait}")


def _loop(asked: Asked) -> bytes:
    return http(302, b"", "text/plain", f"Location: {asked.path}")


def _escaped(key: str) -> str:
    return "".join(f"\\u{ord(letter):04x}" for letter in key)


def _echo_refused(asked: Asked) -> bytes:
    """The key plainly, with its letters escaped, as a URL holds it, and in headers."""
    told = f"Bad key {asked.key}, {_escaped(asked.key)}, {quote(asked.key, safe='')}!"
    headers = (f"X-Request-Id: {asked.key}", f"WWW-Authenticate: {asked.key}")
    return http(401, b'{"error":{"message":"%s"}}' % told.encode(), "application/json", *headers)


def _echo_answered(asked: Asked) -> bytes:
    """A good answer with the key in it, plainly and with its letters escaped."""
    document = model_list() if asked.models else completion()
    text = json.dumps({**document, "you": f"{asked.key} ESCAPED"})
    text = text.replace("ESCAPED", _escaped(asked.key))
    return http(200, text.encode(), "application/json", f"X-Request-Id: {asked.key}")


STATUSES: Final = (
    Behaviour(
        "status-204", "answers 204", raw(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
    ),
    Behaviour("empty-200", "answers 200 with an empty body", body(b"")),
    Behaviour(
        "redirect-to-metadata",
        "redirects to a cloud's metadata service",
        raw(http(302, b"", "text/plain", "Location: http://169.254.169.254/latest/meta-data/")),
    ),
    Behaviour("redirect-loop", "redirects to itself", raw(_loop)),
    Behaviour("status-401", "answers 401 with an empty body", raw(http(401))),
    Behaviour("status-404", "answers 404 in plain text", raw(http(404, b"no page", "text/plain"))),
    Behaviour("rate-limit", "answers 429 without Retry-After", raw(http(429, _BUSY))),
    Behaviour("rate-limit-absurd", "answers 429, try again in 300,000 years", raw(_busy("9" * 13))),
    Behaviour("rate-limit-words", "answers 429, Retry-After: soon <b>", raw(_busy("soon <b>"))),
    Behaviour(
        "rate-limit-past",
        "answers 429, try again in 1994",
        raw(_busy("Sun, 06 Nov 1994 08:49:37 GMT")),
    ),
    Behaviour("error-500-html", "answers 500 with a page", raw(http(500, _PAGE, "text/html"))),
    Behaviour("status-503", "answers 503 in plain text", raw(http(503, b"Busy.", "text/plain"))),
    Behaviour("wrong-content-type", "says that good JSON is a page", body(good, "text/html")),
    Behaviour("page-as-json", "says that a page is JSON", body(_PAGE)),
    Behaviour(
        "error-in-200",
        "answers 200 with an error",
        body(b'{"error":{"message":"The backend failed.","code":502}}'),
    ),
    Behaviour(
        "gzip-bomb",
        "sends 256 MiB of spaces in 256 KB of gzip",
        raw(http(200, _BOMB, "application/json", "Content-Encoding: gzip")),
    ),
    Behaviour("gzip", "sends gzip although identity was asked for", raw(_packed)),
    Behaviour(
        "lying-encoding",
        "says that plain JSON is brotli",
        raw(lambda asked: http(200, good(asked), "application/json", "Content-Encoding: br")),
    ),
    Behaviour("sse-without-done", "sends a stream that just ends", raw(_STREAM + _EVENT)),
    Behaviour(
        "sse-endless-comments",
        "sends a stream of comments for ever",
        dripping(_STREAM, b": PROCESSING\n\n"),
    ),
    Behaviour("key-echo", "repeats the key in an error's text and headers", raw(_echo_refused)),
    Behaviour("key-echo-in-200", "repeats the key in a good answer", raw(_echo_answered)),
)
