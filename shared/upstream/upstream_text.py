"""The upstream's own words, made fit to be shown: trimmed, without our key, never HTML.

The order of places to look is that of the servers seen: `error.message`, `error` as a string,
`message`, `detail`, then the first characters of a text body.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from shared.telemetry import Secret
from shared.upstream.strict_json import replaced

TEXT_CHARACTERS: Final = 300
MESSAGE_CHARACTERS: Final = 1000
_LEAST_SECRET: Final = 4  # a shorter key is no secret, and cutting it out would shred the text
_LEAST_SECRET_IN_BODY: Final = 16
_MARKUP = re.compile(
    r"<(?:!doctype|/?(?:html|head|body|script|style|title|center|h[1-6]|div|span|p|a|img|svg|"
    r"iframe|table|form)\b)",
    re.IGNORECASE,
)
_TAG_START = re.compile(r"<(?=[A-Za-z/!?])")
_ESCAPED_ASCII: Final = b"\\u00"
_STARS: Final = "***"
_STARS_IN_BODY: Final = b"***"


def without_key(text: str, key: Secret | None) -> str:
    """`text` with every occurrence of the key replaced by stars."""
    for written in _spellings(key, _LEAST_SECRET):
        text = text.replace(written, _STARS)
    return text


class Concealer:
    """Puts stars in place of one key, in the bodies of answers.

    Only keys of 16 characters or more: those do not stand in a text by chance.
    """

    def __init__(self, key: Secret | None) -> None:
        spellings = _spellings(key, _LEAST_SECRET_IN_BODY)
        self._written = tuple(spelling.encode() for spelling in spellings)
        self._escaped = re.compile("|".join(map(re.escape, spellings))) if spellings else None

    def body(self, body: bytes) -> bytes:
        """A body in which a key that was echoed plainly, or as JSON or a URL writes it, is gone."""
        for written in self._written:
            body = body.replace(written, _STARS_IN_BODY)
        return body

    def value(self, value: Any, body: bytes) -> Any:
        """The JSON value of `body`, in which a key is gone also where its letters were escaped."""
        if self._escaped is None or _ESCAPED_ASCII not in body:
            return value
        return replaced(value, self._escaped, _STARS)


def _spellings(key: Secret | None, least: int) -> tuple[str, ...]:
    """The ways in which a key is written, longest first; none for one under `least` characters."""
    secret = key.reveal() if key is not None else ""
    if len(secret) < least:
        return ()
    quoted = json.dumps(secret)[1:-1]
    written = {secret, quoted, quoted.replace("/", "\\/"), quote(secret, safe="")}
    return tuple(sorted(written, key=len, reverse=True))


def shown(text: str, key: Secret | None, limit: int = MESSAGE_CHARACTERS) -> str:
    """`text` on one line, without the key, at most `limit` characters; empty for HTML.

    Angles of what may be meant as text (`got <int>`) are replaced by others, so that no tag stays.
    """
    if _MARKUP.search(text):
        return ""
    plain = _TAG_START.sub("\u2039", without_key(text, key))
    if not plain.isprintable():  # control, bidirectional and unassigned characters
        plain = "".join(each if each.isprintable() else " " for each in plain)
    plain = " ".join(plain.split())
    return plain if len(plain) <= limit else plain[: limit - 1] + "…"


def unlisted(document: Any) -> Any:
    """The error of a list that holds nothing else, which is Google's way; or the document."""
    only = document[0] if isinstance(document, list) and len(document) == 1 else None
    return only if isinstance(only, dict) and only.get("error") else document


def message_of(document: Any, key: Secret | None) -> str:
    """What an error document says, or "" when it says nothing that can be shown."""
    document = unlisted(document)
    if not isinstance(document, dict):
        return ""
    error = document.get("error")
    candidates = [error.get("message") if isinstance(error, dict) else error]
    candidates += [document.get("message"), document.get("detail")]
    for candidate in candidates:
        if isinstance(candidate, str) and (text := shown(candidate, key)):
            return text
    return _first_validation_fault(document.get("detail"), key)


def marks_of(error: Mapping[str, Any], key: Secret | None) -> dict[str, str | int]:
    """`type`, `code` and `param` of an error object, those that are a short text or a number."""
    marks: dict[str, str | int] = {}
    for name in ("type", "code", "param"):
        value = error.get(name)
        if type(value) is int and abs(value) < 2**53:
            text = str(value)
            marks[name] = value if text == without_key(text, key) else "***"
        elif isinstance(value, str) and (text := shown(value, key, TEXT_CHARACTERS)):
            marks[name] = text
    return marks


def _first_validation_fault(detail: Any, key: Secret | None) -> str:
    """FastAPI's 422: `{"detail": [{"loc": […], "msg": "…"}]}`."""
    first = detail[0] if isinstance(detail, list) and detail else None
    message = first.get("msg") if isinstance(first, dict) else None
    return shown(message, key) if isinstance(message, str) else ""


def message_of_text(body: bytes, content_type: str, key: Secret | None) -> str:
    """The beginning of a text body, or "" when it is HTML, binary or empty."""
    if "html" in content_type or "\x00" in (text := body[:4096].decode("utf-8", "replace")):
        return ""
    return "" if text.lstrip()[:1] == "<" else shown(text, key, TEXT_CHARACTERS)
