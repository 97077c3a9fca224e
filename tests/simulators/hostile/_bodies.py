"""JSON that is too deep, too long, or not quite JSON."""

from __future__ import annotations

import asyncio
import json
from typing import Final

from tests.simulators.hostile._behaviour import (
    JSON_HEAD,
    Asked,
    Behaviour,
    body,
    completion,
    good,
    model_list,
)
from tests.simulators.hostile._wire import Wire

DEPTH: Final = 100_000


def _with(value: bytes) -> bytes:
    """A good answer to both routes that also holds this value."""
    return b'{"choices":[],"data":[{"id":"harmless"}],"x":%s}' % value


def _twice(asked: Asked) -> bytes:
    return b'{"choices":1,"data":1,' + good(asked)[1:]


def _words(asked: Asked) -> bytes:
    """A surrogate cut in two, and NUL, where text is wanted."""
    odd = "cut \\ud83d here, NUL \\u0000 there"
    document = model_list("odd", "harmless") if asked.models else completion(x="odd")
    return json.dumps(document).replace('"odd"', f'"{odd}"').encode()


def _emoji(asked: Asked) -> bytes:
    document = model_list("split-\U0001f600") if asked.models else completion(x="\U0001f600")
    return json.dumps(document, ensure_ascii=False).encode()


async def _split(wire: Wire, asked: Asked) -> None:
    """Every byte is a chunk of its own, so that characters are cut."""
    await wire.send(JSON_HEAD + b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n")
    for byte in _emoji(asked):
        await wire.send(b"1\r\n%c\r\n" % byte)
        await asyncio.sleep(0)
    await wire.send(b"0\r\n\r\n")


BODIES: Final = (
    Behaviour("deep-json", "nests 100,000 deep", body(_with(b"[" * DEPTH + b"]" * DEPTH))),
    Behaviour("wide-json", "sends a million values", body(_with(b"[" + b"[]," * 10**6 + b"1]"))),
    Behaviour("nan", "sends NaN", body(_with(b"NaN"))),
    Behaviour("infinity", "sends 1e999", body(_with(b"1e999"))),
    Behaviour("5000-digits", "sends an integer of 5,000 digits", body(_with(b"9" * 5000))),
    Behaviour("duplicate-keys", "sends keys twice, wrong ones first", body(_twice)),
    Behaviour("invalid-utf8", "sends a byte that is no UTF-8", body(_with(b'"\xff"'))),
    Behaviour("surrogate-and-nul", "sends half an emoji, and NUL", body(_words)),
    Behaviour("bom", "begins with a byte order mark", body(lambda a: b"\xef\xbb\xbf" + good(a))),
    Behaviour("split-utf8", "sends every byte as a chunk of its own", _split),
    Behaviour("truncated-json", "ends inside a string", body(b'{"choices":[],"data":["half')),
    Behaviour("not-an-object", "answers a number", body(b"42")),
)
