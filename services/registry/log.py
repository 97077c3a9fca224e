"""The registry's log: what is no news is written some lines at a time, what is wrong at once.

A line costs a system call here, and whoever reads it a wake-up: together as much as routing a
request. Lines that wait are lost with a process that is killed, 50 ms of them at most.
"""

from __future__ import annotations

import _thread
import contextlib
import logging
from typing import Any, Final, Self, TextIO

import gevent
from gevent import monkey

GATHER_SECONDS: Final = 0.05

_native_thread: Final = monkey.get_original("_thread", "get_ident")


class GatheredLines(logging.StreamHandler[TextIO]):
    """A handler that writes every line at once until `begin`, and gathers them from then on."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        # A real lock: native threads write here too. The type itself, because what
        # `threading.RLock` makes is built on gevent's locks by now, also the saved original of it,
        # and a native thread then waits for the log for ever. No greenlet switches while it is
        # held, since writing to stderr is not patched.
        self.lock: Any = _thread.RLock()
        self._lines: list[str] = []
        self._loop: int | None = None  # the thread of the loop that will write

    @classmethod
    def in_place_of_all(cls) -> Self:
        """Take the place of the handler that `configure_logging` made."""
        root = logging.getLogger()
        [plain] = root.handlers
        assert isinstance(plain, logging.StreamHandler)  # noqa: S101 - made by `configure_logging`
        gathered = cls(plain.stream)
        gathered.setFormatter(plain.formatter)
        root.handlers[:] = [gathered]
        return gathered

    def begin(self) -> None:
        """Let lines wait for the loop of this thread; after a fork."""
        self._loop = _native_thread()

    def end(self) -> None:
        """Write what waits, and from now on at once: the loop ends."""
        self._loop = None
        self.flush()

    def emit(self, record: logging.LogRecord) -> None:
        """Take a record; a warning is written at once, behind what waits."""
        try:
            self._lines.append(self.format(record))
        except Exception:
            self.handleError(record)
            return
        if record.levelno > logging.INFO or self._loop != _native_thread():
            self.flush()
        elif len(self._lines) == 1:
            gevent.spawn_later(GATHER_SECONDS, self.flush)

    def flush(self) -> None:
        """Write what waits."""
        # Without a reader, or room on its disk, nobody is left to be told.
        with self.lock, contextlib.suppress(OSError):
            lines, self._lines = self._lines, []
            if lines:
                self.stream.write("\n".join([*lines, ""]))
            self.stream.flush()
