"""Model lists that are too long, and ids that are none. Chats are answered well."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from typing import Any, Final

from tests.simulators.hostile._behaviour import (
    JSON_HEAD,
    Asked,
    Behaviour,
    body,
    good,
    http,
    model_list,
)
from tests.simulators.hostile._wire import Wire

_BLOCK: Final = 10_000
_BLOCKS: Final = 100


def _listing(make: Callable[[], Any]) -> Callable[[Asked], bytes]:
    encoded = functools.cache(lambda: json.dumps(make(), separators=(",", ":")).encode())
    return lambda asked: encoded() if asked.models else good(asked)


async def _million(wire: Wire, asked: Asked) -> None:
    """A million models, made as they are taken."""
    if not asked.models:
        await wire.send(http(200, good(asked)))
        return
    await wire.send(JSON_HEAD + b'\r\n{"object":"list","data":[')
    block = b"".join(b'{"id":"@-%d","object":"model"},' % number for number in range(_BLOCK))
    for number in range(_BLOCKS):
        await wire.send(block.replace(b"@", b"%d" % number))
    await wire.send(b'{"id":"last"}]}')


def _ids(*ids: Any) -> Callable[[Asked], bytes]:
    return _listing(lambda: model_list(*ids, "harmless"))


MODELS: Final = (
    Behaviour("million-models", "lists a million models in 31 MB", _million),
    Behaviour(
        "million-short-ids",
        "lists a million models in 4 MB",
        body(_listing(lambda: [f"{number:x}" for number in range(16)] * 62_500)),
    ),
    Behaviour(
        "100000-ids",
        "lists a hundred thousand models",
        body(_listing(lambda: [f"{number:05x}" for number in range(100_000)])),
    ),
    Behaviour("duplicate-ids", "lists one model 1,000 times", body(_ids(*["twin"] * 1000))),
    Behaviour(
        "empty-ids", "lists models without a name", body(_ids("", " ", None, 0, [], {}, "\u200b"))
    ),
    Behaviour("1mb-id", "lists a model whose name has 1 MB", body(_ids("x" * 2**20))),
    Behaviour(
        "dotdot-ids", "lists ../ and paths", body(_ids("../../etc/passwd", "a/../b", "/", "..%2f"))
    ),
    Behaviour(
        "html-ids",
        "lists tags and scripts",
        body(_ids("<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "{{7*7}}")),
    ),
)
