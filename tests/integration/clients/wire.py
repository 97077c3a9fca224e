"""Requests byte by byte, as no HTTP client would send them."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

HANG = 5.0  # seconds after which an answer counts as none


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back; `status` is 0 where the connection was closed without an answer."""

    status: int
    headers: dict[str, str]
    body: bytes
    seconds: float  # from the last byte sent, or the first that could not be

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The code of an error."""
        return str(self.json["error"]["code"])


CUT_OFF = Answer(0, {}, b"", 0.0)


def head(method: str, path: str, *headers: str, host: str = "127.0.0.1") -> bytes:
    """The head of a request; `headers` as whole lines, in latin-1 as the wire has them."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", "Connection: close", *headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def post(path: str, body: bytes, *headers: str, method: str = "POST") -> bytes:
    """A request with a JSON body and its true length."""
    sized = ("Content-Type: application/json", f"Content-Length: {len(body)}", *headers)
    return head(method, path, *sized) + body


def talk(
    port: int, parts: bytes | Iterable[bytes], *, pause: float = 0.0, half_close: bool = False
) -> Answer:
    """Send `parts` with pauses between, then read the answer; TimeoutError after 5 s of nothing."""
    with socket.create_connection(("127.0.0.1", port), timeout=HANG) as connection:
        try:
            for part in (parts,) if isinstance(parts, bytes) else parts:
                connection.sendall(part)
                time.sleep(pause)
            if half_close:
                connection.shutdown(socket.SHUT_WR)
        except (BrokenPipeError, ConnectionResetError):
            pass  # refused before all of it was sent: what was answered may still be read
        began = time.monotonic()
        received = bytearray()
        try:
            while piece := connection.recv(65536):
                received += piece
                if time.monotonic() - began > HANG:
                    raise TimeoutError(f"no end of the answer after {HANG:g} s")
        except ConnectionResetError:
            pass  # what was not read of the request resets the connection behind the answer
        return _answer(bytes(received), time.monotonic() - began)


def _answer(received: bytes, seconds: float) -> Answer:
    if not received:
        return CUT_OFF
    raw_head, _, body = received.partition(b"\r\n\r\n")
    first, *lines = raw_head.decode("latin-1").split("\r\n")
    headers = {
        name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)
    }
    if headers.get("transfer-encoding") == "chunked":
        body = _unchunked(body)
    return Answer(int(first.split()[1]), headers, body, seconds)


def _unchunked(body: bytes) -> bytes:
    whole = b""
    while body:
        size, _, rest = body.partition(b"\r\n")
        length = int(size, 16)
        whole, body = whole + rest[:length], rest[length + 2 :]
    return whole
