"""Servers that refuse to be asked for the usage of a stream.

Some answer 400 or 422 to `stream_options`, naming it; they are asked again without, and are not
asked for it again for an hour: servers are replaced by newer ones.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any, Final

import msgspec

from shared.upstream.answers import RawAnswer
from shared.upstream.strict_json import NotJson
from shared.upstream.upstream_text import unlisted

_STATUSES: Final = frozenset({400, 422})
_NAMES: Final = ("stream_options", "include_usage")
_REMEMBERED_SECONDS: Final = 3600.0
_REMEMBERED_URLS: Final = 1000


class UsageRefusals:
    """Which chat URLs refused; of more than 1,000 the oldest is forgotten."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._until: dict[str, float] = {}

    def hold(self, chat_url: str) -> bool:
        """Whether this one refused within the last hour."""
        return self._until.get(chat_url, 0.0) > self._clock()

    def note(self, chat_url: str) -> None:
        """Remember that this one refused, and answered when it was not asked."""
        self._until.pop(chat_url, None)
        self._until[chat_url] = self._clock() + _REMEMBERED_SECONDS
        if len(self._until) > _REMEMBERED_URLS:
            del self._until[next(iter(self._until))]


def without_usage(body: bytes) -> bytes:
    """The request without its `stream_options`."""
    fields = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    fields.pop("stream_options", None)
    return msgspec.json.encode(fields)


def refuses_usage(answer: RawAnswer) -> bool:
    """Whether an answer refuses `stream_options`: its message, field or path names it.

    Not the whole body is searched, because some servers send the request back in it.
    """
    if answer.status not in _STATUSES:
        return False
    try:
        document = unlisted(answer.document())
    except NotJson:
        document = {"message": answer.error_text()}
    return any(name in text for text in _places(document) for name in _NAMES)


def _places(document: Any) -> Iterator[str]:
    """Where servers name the field at fault."""
    if not isinstance(document, dict):
        return
    error, detail = document.get("error"), document.get("detail")
    fields = error if isinstance(error, dict) else document
    told = (error, detail, document.get("message"), fields.get("message"), fields.get("param"))
    yield from (text for text in told if isinstance(text, str))
    for fault in _list(detail):  # FastAPI's
        path = fault.get("loc") if isinstance(fault, dict) else None
        yield from (step for step in _list(path) if isinstance(step, str))


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
