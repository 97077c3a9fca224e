"""Single requests from hell: what is sent, and what may be answered (status, code of the error).

A code of None is no error; status 0 is a connection that was closed without an answer.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tests.api import CHAT, chat_body
from tests.integration.clients.conftest import PUBLIC_HOST, World
from tests.integration.clients.wire import Answer, head, post, talk

Expected = frozenset[tuple[int, str | None]]
NO_KEY: Expected = frozenset({(401, "invalid_api_key")})
# gunicorn refuses what is no HTTP before the application sees it.
NO_HTTP: Expected = frozenset({(400, "invalid_value")})
TOO_LARGE: Expected = frozenset({(413, "body_too_large")})
NO_JSON: Expected = frozenset({(400, "invalid_json")})
WRONG: Expected = frozenset({(400, "invalid_value")})
UNKNOWN: Expected = frozenset({(400, "unknown_field")})
NOT_FOUND: Expected = frozenset({(404, "not_found")})
FINE: Expected = frozenset({(200, None)})
DEEP = 100_000
MEBIBYTE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Hostile:
    """One misbehaviour."""

    send: Callable[[World], Answer]
    expected: Expected


def raw(
    *lines: str, path: str = "/v1/me", method: str = "GET", host: str = "127.0.0.1"
) -> Callable[[World], Answer]:
    """A request without a body with these header lines and no others."""
    return lambda world: world.send(head(method, path, *lines, host=host))


def get(path: str, *headers: str) -> Callable[[World], Answer]:
    """A GET with the admin's key."""
    return lambda world: world.ask("GET", path, *headers)


def chat(body: bytes | Callable[[World], Mapping[str, Any]]) -> Callable[[World], Answer]:
    """A chat with the admin's key and this body."""

    def send(world: World) -> Answer:
        told = body if isinstance(body, bytes) else json.dumps(body(world)).encode()
        return world.post(CHAT, told)

    return send


def provider(text: str, *, name: str = "a name") -> Callable[[World], Answer]:
    """A new provider whose endpoint is this."""
    body = json.dumps({"name": name, "endpoint": text}).encode()
    return lambda world: world.post("/v1/providers", body)


def with_field(name: str, text: str) -> Callable[[World], Answer]:
    """A chat that would be fine but for this field, given as JSON."""

    def send(world: World) -> Answer:
        fine = json.dumps(chat_body(world.model, background=True))
        return world.post(CHAT, f'{fine[:-1]}, "{name}": {text}}}'.encode())

    return send


def lying(length: int, body: bytes, *, half_close: bool = True) -> Callable[[World], Answer]:
    """A chat whose Content-Length is not that of its body."""

    def send(world: World) -> Answer:
        sized = ("Content-Type: application/json", f"Content-Length: {length}", world.bearer())
        parts = head("POST", CHAT, *sized) + body
        return talk(world.system.port, parts, half_close=half_close)

    return send


def endless(world: World) -> Answer:
    """100 MB of body, as far as they are taken."""
    sized = ("Content-Type: application/json", f"Content-Length: {100 * MEBIBYTE}")
    first = head("POST", CHAT, *sized, world.bearer())
    return talk(world.system.port, (first, *[b" " * MEBIBYTE] * 100))


def endless_chunks(world: World) -> Answer:
    """The same in chunks, so that nothing says how much is to come."""
    coded = ("Content-Type: application/json", "Transfer-Encoding: chunked", world.bearer())
    chunk = b"100000\r\n" + b" " * MEBIBYTE + b"\r\n"
    return talk(world.system.port, (head("POST", CHAT, *coded), *[chunk] * 100))


def slow(world: World) -> Answer:
    """A body in single bytes."""
    body = json.dumps(chat_body(world.model)).encode()
    whole = post(CHAT, body, world.bearer())
    cut = len(whole) - 40
    parts = (whole[:cut], *(bytes((byte,)) for byte in whole[cut:]))
    return talk(world.system.port, parts, pause=0.01)


REQUESTS: Mapping[str, Hostile] = {
    "no Authorization": Hostile(raw(), NO_KEY),
    "two Authorizations": Hostile(
        lambda w: w.send(head("GET", "/v1/me", w.bearer(), "Authorization: Bearer other")), NO_KEY
    ),
    "garbage Authorization": Hostile(raw("Authorization: \xff\xfe\x80 ¿¿"), NO_KEY),
    "10 MB of Authorization": Hostile(
        raw("Authorization: Bearer " + "x" * 10 * MEBIBYTE),
        NO_HTTP | {(431, "invalid_value"), (0, None)},
    ),
    "SQL in Authorization": Hostile(raw("Authorization: Bearer ' OR 1=1; --"), NO_KEY),
    "NUL in Authorization": Hostile(raw("Authorization: Bearer dgm_\x00"), NO_HTTP),
    "a revoked key": Hostile(lambda w: w.ask("GET", "/v1/me", key=w.revoked), NO_KEY),
    "an expired key": Hostile(lambda w: w.ask("GET", "/v1/me", key=w.expired), NO_KEY),
    "the key in the query": Hostile(
        lambda w: w.send(head("GET", f"/v1/me?api_key={w.key}&Authorization=Bearer+{w.key}")),
        NO_KEY,
    ),
    "the wrong scope": Hostile(
        lambda w: w.post("/v1/keys", b'{"name": "mine", "role": "admin"}', key=w.member),
        frozenset({(403, "insufficient_scope")}),
    ),
    "a foreign id": Hostile(
        lambda w: w.ask("GET", f"{CHAT}/{w.foreign_job}", key=w.member), NOT_FOUND
    ),
    "a guessed id": Hostile(
        lambda w: w.ask("GET", f"{CHAT}/{w.foreign_job[:-1]}0", key=w.member), NOT_FOUND
    ),
    "a path upwards": Hostile(get("/v1/chat/completions/../../../etc/passwd"), NOT_FOUND),
    "a path upwards in the console": Hostile(get("/static/..%2f..%2fapp.py"), NOT_FOUND),
    "NUL in the path": Hostile(get("/v1/providers/%00"), frozenset({(404, "provider_not_found")})),
    "a slow body": Hostile(slow, FINE),
    "half a close behind the request": Hostile(
        lambda w: talk(w.system.port, head("GET", "/v1/me", w.bearer()), half_close=True), FINE
    ),
    "a Content-Length beyond the body": Hostile(lying(1000, b'{"model": '), NO_JSON | {(0, None)}),
    "a Content-Length within the body": Hostile(
        lying(10, b'{"model": "m", "messages": []}'), NO_JSON
    ),
    "a negative Content-Length": Hostile(lying(-1, b"{}"), NO_HTTP),
    "two lengths": Hostile(lambda w: w.post(CHAT, b"{}", "Content-Length: 40"), NO_HTTP),
    "a length and chunks": Hostile(
        lambda w: w.post(CHAT, b"0\r\n\r\n", "Transfer-Encoding: chunked"), NO_HTTP | NO_JSON
    ),
    "a bad chunk size": Hostile(
        lambda w: w.send(
            head(
                *("POST", CHAT, "Transfer-Encoding: chunked", w.bearer()),
                "Content-Type: application/json",
            )
            + b"zz\r\n{}\r\n0\r\n\r\n"
        ),
        NO_HTTP | NO_JSON,
    ),
    "100 MB": Hostile(endless, TOO_LARGE | {(0, None)}),
    "100 MB in chunks": Hostile(endless_chunks, TOO_LARGE | {(0, None)}),
    "lists 100,000 deep": Hostile(chat(b"[" * DEEP + b"]" * DEEP), NO_JSON),
    "objects 100,000 deep": Hostile(chat(b'{"a":' * DEEP + b"1" + b"}" * DEEP), NO_JSON),
    "a passed-on field 100,000 deep": Hostile(
        with_field("extra", "[" * DEEP + "]" * DEEP), NO_JSON
    ),
    "a provider 100,000 deep": Hostile(
        lambda w: w.post("/v1/providers", b'{"a":' * DEEP + b"1" + b"}" * DEEP), NO_JSON
    ),
    "NaN": Hostile(with_field("temperature", "NaN"), NO_JSON),
    "Infinity": Hostile(with_field("temperature", "-Infinity"), NO_JSON),
    "a number beyond doubles": Hostile(
        with_field("temperature", "1e999"), NO_JSON | WRONG | {(202, None)}
    ),
    "an integer of 5,000 digits": Hostile(
        with_field("seed", "9" * 5000), NO_JSON | WRONG | {(202, None)}
    ),
    "an integer of 5,000 digits of ours": Hostile(
        with_field("background_options", '{"timeout": ' + "9" * 5000 + "}"), NO_JSON | WRONG
    ),
    "a huge timeout": Hostile(with_field("background_options", '{"timeout": 1e300}'), WRONG),
    "a missing body": Hostile(lambda w: w.post(CHAT, b""), NO_JSON),
    "no body and no length": Hostile(
        lambda w: w.ask("POST", CHAT, "Content-Type: application/json"), NO_JSON
    ),
    "an unknown field of ours": Hostile(
        lambda w: w.post("/v1/keys", b'{"name": "a", "admin": true}'), UNKNOWN
    ),
    "an unknown field inside of ours": Hostile(
        with_field("background_options", '{"priority": 9}'), UNKNOWN
    ),
    "null as the body": Hostile(chat(b"null"), NO_JSON),
    "null as a field": Hostile(with_field("messages", "null"), WRONG),
    "invalid UTF-8": Hostile(chat(b'{"model": "\xff\xfe", "messages": []}'), NO_JSON),
    "a lone surrogate": Hostile(with_field("user", r'"\ud800"'), NO_JSON | {(202, None)}),
    "NUL in a text": Hostile(with_field("user", r'"a\u0000b"'), frozenset({(202, None)})),
    "a name from right to left": Hostile(provider("127.0.0.1:9", name="safe\u202egnp.exe"), WRONG),
    "a name of combining characters": Hostile(
        provider("127.0.0.1:9", name="Z" + "\u0301" * 99), WRONG | {(201, None)}
    ),
    "an invisible name": Hostile(provider("127.0.0.1:9", name="\u200b"), WRONG),
    "a script as a name": Hostile(
        provider("127.0.0.1:9", name="<script>alert(1)</script>"), frozenset({(201, None)})
    ),
    "% in a search": Hostile(get("/v1/providers?q=%25%25_%25"), FINE),
    "half an escape in a search": Hostile(get("/v1/providers?q=%"), FINE),
    "SQL in a search": Hostile(get("/v1/providers?q=%27%20OR%201%3D1%3B--"), FINE),
    "limit=-1": Hostile(get("/v1/providers?limit=-1"), WRONG),
    "limit=10^9": Hostile(get("/v1/providers?limit=1000000000"), WRONG),
    "limit of 5,000 digits": Hostile(get(f"/v1/providers?limit={'9' * 5000}"), WRONG | NO_HTTP),
    "a forged cursor": Hostile(
        get("/v1/chat/completions?after=chatcmpl-00000000000000000000000000"), FINE | WRONG
    ),
    "a cursor of SQL": Hostile(get("/v1/chat/completions?after=%27%3B--"), WRONG),
    "a cursor of NUL": Hostile(get("/v1/providers?after=%00"), WRONG),
    "an event cursor beyond 64 bits": Hostile(get(f"/v1/events?after={2**70}"), WRONG),
    "a spoofed Host": Hostile(
        lambda w: w.send(head("GET", "/v1/me", w.bearer(), host="evil.test")), WRONG
    ),
    "no Host": Hostile(
        lambda w: w.send(
            f"GET /v1/me HTTP/1.1\r\nConnection: close\r\n{w.bearer()}\r\n\r\n".encode()
        ),
        WRONG | NO_HTTP,
    ),
    "a spoofed X-Forwarded-Host": Hostile(
        get("/v1/providers?limit=1", "X-Forwarded-Host: evil.test", "X-Forwarded-Proto: https"),
        FINE,
    ),
    "a spoofed X-Forwarded-For": Hostile(
        get("/v1/me", "X-Forwarded-For: 127.0.0.1, ::1, ';--", "Forwarded: for=127.0.0.1"), FINE
    ),
    "a method by header": Hostile(
        get("/v1/me", "X-HTTP-Method-Override: DELETE", "X-Method-Override: DELETE"), FINE
    ),
    "a method of its own": Hostile(
        lambda w: w.ask("BREW", "/v1/me"), frozenset({(405, "method_not_allowed")})
    ),
    "the method TRACE": Hostile(
        lambda w: w.ask("TRACE", "/v1/me"), frozenset({(405, "method_not_allowed")})
    ),
    "a post of another site to the console": Hostile(
        raw(
            *("Origin: https://evil.test", "Sec-Fetch-Site: cross-site"),
            *("Content-Type: application/x-www-form-urlencoded", "Content-Length: 0"),
            path="/login",
            method="POST",
            host=PUBLIC_HOST,
        ),
        frozenset({(403, "insufficient_scope")}),
    ),
    "100,000 headers": Hostile(
        raw(*(f"X-{number}: 1" for number in range(100_000))), NO_HTTP | {(0, None)}
    ),
    "a request line of 1 MB": Hostile(get("/v1/" + "a" * MEBIBYTE), NO_HTTP | {(0, None)}),
    "HTTP/0.9": Hostile(lambda w: w.send(b"GET /\r\n"), NO_HTTP | {(0, None)}),
    "TLS on a plain port": Hostile(
        lambda w: w.send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"),
        NO_HTTP | {(0, None)},
    ),
    "metadata as an endpoint": Hostile(provider("http://169.254.169.254/v1"), WRONG),
    "metadata as a number": Hostile(provider("http://0xa9fea9fe/"), WRONG),
    "metadata in IPv6": Hostile(provider("http://[::ffff:169.254.169.254]/"), WRONG),
    "a file as an endpoint": Hostile(provider("file:///etc/passwd"), WRONG),
    "ourselves as an endpoint": Hostile(
        lambda w: provider(f"http://127.0.0.1:{w.system.port}")(w), WRONG
    ),
}
