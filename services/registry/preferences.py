"""What a client would prefer: the header `Prefer` of RFC 7240.

A preference is never a reason to refuse: what is unknown or malformed is as if it had not been
sent, and `Preference-Applied` says what was honoured.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from flask import Request

LONGEST_WAIT: Final = 60  # seconds; a longer wait is clipped, and the answer says so
MOST_CHARACTERS: Final = 4_096  # of all `Prefer` headers of a request; more are not read

_NAME: Final = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_QUOTED: Final = r'"(?:[^"\\\x00-\x08\x0a-\x1f\x7f]|\\[^\x00-\x08\x0a-\x1f\x7f])*"'
_PAIR: Final = rf"({_NAME})(?:[ \t]*=[ \t]*({_NAME}|{_QUOTED}|))?"
_PREFERENCE: Final = re.compile(rf"[ \t]*{_PAIR}[ \t]*(?:;[ \t]*(?:{_PAIR}[ \t]*)?)*")
# An open quote takes all that follows: looking for its end again at every later one would cost
# the square of the header's length.
_PIECE: Final = re.compile(r'"(?:[^"\\]|\\.)*(?:"|\\?$)|,|[^",]+', re.DOTALL)
_ESCAPED: Final = re.compile(r"\\(.)")
_SECONDS: Final = re.compile(r"[0-9]+")


@dataclass(frozen=True, slots=True)
class Preferences:
    """The two preferences that this API knows; `wait` in whole seconds, at most 60."""

    respond_async: bool = False
    wait: int | None = None

    def applied(self, *names: str) -> dict[str, str]:
        """`Preference-Applied` with those of `names` that were sent; without any, no header."""
        said = {"respond-async": self.respond_async, f"wait={self.wait}": self.wait is not None}
        kept = [text for text, sent in said.items() if sent and text.partition("=")[0] in names]
        return {"Preference-Applied": ", ".join(kept)} if kept else {}


NONE: Final = Preferences()


def of(request: Request) -> Preferences:
    """What this request prefers; several headers count as one, in the order in which they came."""
    sent = request.environ.get("HTTP_PREFER")  # the server has put them together (PEP 3333)
    return read(sent) if sent else NONE


def read(header: str) -> Preferences:
    """What this value of `Prefer` asks for."""
    said = parse(header) if len(header) <= MOST_CHARACTERS else {}
    wait = None
    if _SECONDS.fullmatch(said.get("wait", "")):
        digits = said["wait"].lstrip("0")
        # A number longer than that of the bound is larger; thousands of digits are no number here.
        wait = LONGEST_WAIT if len(digits) > 3 else min(int(digits or "0"), LONGEST_WAIT)
    return Preferences(respond_async=said.get("respond-async") == "", wait=wait)


def parse(header: str) -> Mapping[str, str]:
    """Lower-case name → value of each well-formed preference; no value and an empty one are `""`.

    Of a name that comes twice the first one counts; parameters of preferences are dropped.
    """
    found: dict[str, str] = {}
    for element in _elements(header):
        if (preference := _PREFERENCE.fullmatch(element)) is not None:
            found.setdefault(preference[1].lower(), _plain(preference[2] or ""))
    return found


def _elements(header: str) -> Iterator[str]:
    """What stands between the commas that are in no quoted string."""
    pieces: list[str] = []
    for piece in _PIECE.findall(header):
        if piece == ",":
            yield "".join(pieces)
            pieces.clear()
        else:
            pieces.append(piece)
    yield "".join(pieces)


def _plain(word: str) -> str:
    if word.startswith('"'):
        return _ESCAPED.sub(r"\1", word[1:-1])
    return word
