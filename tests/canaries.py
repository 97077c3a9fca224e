"""Planted secrets, and the search for them wherever bytes of ours can be."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec
import redis

from tests.simulators import CountingSimulator, Reply
from tests.simulators._http import Exchange


def spellings(secret: str) -> set[bytes]:
    """The ways in which a secret may be written: as it is, for a URL, and in base64 anywhere."""
    raw = secret.encode()
    found = {raw, quote(secret, safe="").encode()}
    for shift in range(3):  # where in a group of three bytes it begins
        padded = base64.b64encode(b"\0" * shift + raw)
        # The first and the last group also depend on the neighbours.
        found.add(padded[4:-4])
    return found


class Haystack:
    """Everything that was collected, by the name of its place."""

    def __init__(self) -> None:
        self.places: dict[str, bytes] = {}

    def add(self, place: str, content: bytes) -> None:
        """Add to what was found at a place."""
        self.places[place] = self.places.get(place, b"") + b"\n" + content

    def add_files(self, folder: Path) -> None:
        """Every file below the folder, the database's write-ahead log among them."""
        for path in folder.rglob("*"):
            if path.is_file():
                self.add(path.name, path.read_bytes())

    def add_redis(self, url: str, place: str) -> None:
        """Every key and value: texts, lists, hashes, sets and streams, queued tasks among them."""
        with redis.Redis.from_url(url) as client:
            for key in client.scan_iter():
                self.add(place, b" ".join(_flat([key, _value(client, key)])))

    def holders(self, secret: str) -> set[str]:
        """The places that hold the secret, however it is written."""
        wanted = spellings(secret)
        return {
            place
            for place, content in self.places.items()
            if any(spelling in content for spelling in wanted)
        }


def _value(client: redis.Redis, key: bytes) -> Any:
    match client.type(key):
        case b"string":
            return client.get(key)
        case b"list":
            return client.lrange(key, 0, -1)
        case b"hash":
            return client.hgetall(key)
        case b"set":
            return client.smembers(key)
        case b"zset":
            return client.zrange(key, 0, -1)
        case b"stream":
            return client.xrange(key)
        case b"none":  # it expired since it was named
            return b""
        case other:
            raise AssertionError(f"a key of the unknown type {other!r}")


def _flat(value: Any) -> Iterator[bytes]:
    if isinstance(value, bytes):
        yield value
    elif isinstance(value, Mapping):
        yield from _flat(list(value.items()))
    elif isinstance(value, Iterable) and not isinstance(value, str):
        for inner in value:
            yield from _flat(inner)


MARKS = ("type", "code", "param")


class EchoingSimulator(CountingSimulator):
    """An upstream that repeats the key that it was sent wherever an answer has room for it.

    A chat's model says how: `answer`, `error-in-200`, `redirect`, or an HTTP status.
    """

    def handle(self, exchange: Exchange) -> None:
        self.requests.append(exchange.request)
        key = exchange.request.bearer or ""

        def reply(document: Any, status: int = 200) -> None:
            headers = {"x-request-id": key, "x-echo": key}
            exchange.reply(Reply(status, msgspec.json.encode(document), headers=headers))

        if exchange.request.method == "GET":
            entry = {"id": f"m-{key}", "owned_by": key, "note": [key], key: 1}
            reply({"data": [entry, {"id": "answer"}]})
            return
        how = msgspec.json.decode(exchange.request.body)["model"]
        words = f"You sent {key}, and your key is {key}."
        if how == "redirect":
            exchange.reply(Reply(302, headers={"Location": f"http://elsewhere/{key}"}))
        elif how == "error-in-200":
            reply({"error": {"message": words, key: key, **dict.fromkeys(MARKS, key)}})
        elif how.isdigit():
            reply({"error": {"message": words, **dict.fromkeys(MARKS, words)}}, int(how))
        else:
            message = {"role": "assistant", "content": words, "reasoning": key}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            document = {"id": key, "choices": [choice], "system_fingerprint": key, key: [key]}
            reply(document)
