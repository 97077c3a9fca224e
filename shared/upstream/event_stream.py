"""Server-sent events from strangers (WHATWG HTML, section 9.2.6), as chat servers send them.

Lines end in LF, CRLF or CR; comments and unknown fields are skipped; `data:` may lack its space;
several data lines join. Bytes may be split anywhere, also inside a character or a line's end.
"""

from __future__ import annotations

from typing import Final, NamedTuple

MAX_LINE: Final = 1024 * 1024  # bytes

_BOM: Final = b"\xef\xbb\xbf"
_DATA: Final = b"data:"
_ERROR: Final = b"error"


class Event(NamedTuple):
    """The data of one event; `is_error` when it was sent as an `error` event.

    llama-server once sent `error: {…}`, a field of its own, for `event: error` with data.
    """

    data: bytes
    is_error: bool


class LineTooLong(ValueError):
    """A line is longer than 1 MiB."""


class EventParser:
    """Bytes in, events out; one for each stream."""

    def __init__(self) -> None:
        self._unended: list[bytes] = []  # the pieces of the line that has not ended yet
        self._unended_bytes = 0
        self._after_cr = False
        self._first_line = True
        self._data: list[bytes] = []
        self._is_error = False

    def feed(self, raw: bytes) -> list[Event]:
        """The events that these bytes complete; raises LineTooLong."""
        if raw.startswith(_DATA) and (whole := self._one_event(raw)) is not None:
            return [whole]
        if self._after_cr and raw:
            self._after_cr = False
            raw = raw.removeprefix(b"\n")
        if b"\r" in raw:
            self._after_cr = raw.endswith(b"\r")
            raw = raw.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        *lines, rest = raw.split(b"\n")
        if lines and self._unended:
            lines[0] = b"".join((*self._unended, lines[0]))
            self._unended.clear()
            self._unended_bytes = 0
        events = self._events(lines)
        if rest:
            self._unended.append(rest)
            self._unended_bytes += len(rest)
            if self._unended_bytes > MAX_LINE:
                raise LineTooLong
        return events

    def _one_event(self, raw: bytes) -> Event | None:
        """The event, when the bytes are just one of a single line: nearly all pieces are."""
        if (
            raw.endswith(b"\n\n")
            and raw.count(b"\n") == 2
            and b"\r" not in raw
            and len(raw) <= MAX_LINE
            and not (self._unended or self._data or self._is_error)
        ):
            self._first_line = self._after_cr = False
            data = raw[6:-2] if raw[5:6] == b" " else raw[5:-2]
            return Event(data, is_error=False) if data else None
        return None

    def close(self) -> list[Event]:
        """The event that the end of the bytes leaves without its blank line, if there is one.

        The standard drops it; many servers end with `data: [DONE]` and one line feed, or none.
        """
        last = [b"".join(self._unended)] if self._unended else []
        return self._events([*last, b""])

    def _events(self, lines: list[bytes]) -> list[Event]:
        events: list[Event] = []
        for line in lines:
            if len(line) > MAX_LINE:
                raise LineTooLong
            if self._first_line:
                self._first_line = False
                line = line.removeprefix(_BOM)
            if line.startswith(_DATA):
                self._data.append(line[6:] if line[5:6] == b" " else line[5:])
            elif line:
                self._field(line)
            elif self._data or self._is_error:
                if data := b"\n".join(self._data):
                    events.append(Event(data, self._is_error))
                self._data.clear()
                self._is_error = False
        return events

    def _field(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        if name == _ERROR:
            self._is_error = True
            self._data.append(value.removeprefix(b" "))
        elif name == b"event":
            self._is_error = value.removeprefix(b" ") == _ERROR
