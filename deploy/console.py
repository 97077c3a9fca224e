"""What a run prints: the lines of all its processes."""

from __future__ import annotations

import errno
import json
import os
import sys
import time
from collections.abc import Sequence
from typing import Final

_FULL: Final = (errno.ENOSPC, errno.EDQUOT)


class Console:
    """Lines of all processes on standard error, each behind its name; or as `json`, as they are.

    Then what is no JSON (the runner's own lines, Valkey's, a crash before there is a log) becomes
    the message of an object, so that every line is one.
    """

    def __init__(self, names: Sequence[str], form: str = "line") -> None:
        self._width = max(map(len, names))
        self._json = form == "json"
        self._open = True
        self._cut = b""  # what a line begins with
        self._lost = 0  # lines since the log's disk is full

    def write(self, name: str, line: str) -> None:
        """Print one line. A reader that went away (a closed terminal) must not stop anything.

        A full disk loses lines; the first that fits again says how many.
        """
        if not self._open:
            return
        try:
            if self._lost:
                self._print("dragoman", f"{self._lost} lines were lost: the log's disk was full")
                self._lost = 0
            self._print(name, line)
        except OSError as fault:
            if fault.errno in _FULL:
                self._lost += 1
            else:
                self._open = False

    def _print(self, name: str, line: str) -> None:
        shown = _as_json(name, line) if self._json else f"{name:<{self._width}} | {line}"
        # Unbuffered: what does not fit would wait in a buffer and fail the lines after it, too.
        text = self._cut + f"{shown}\n".encode(errors="backslashreplace")
        while text:
            text = text[os.write(sys.stderr.fileno(), text) :]
            self._cut = b"\n"  # will end half a line, if the rest does not fit
        self._cut = b""


def _as_json(name: str, line: str) -> str:
    if line.startswith('{"time": ') and line.endswith("}"):
        return line
    now = time.time()
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now))
    told = {
        "time": f"{stamp}.{int(now % 1 * 1000):03d}Z",
        "level": "INFO",
        "service": name,
        "message": line,
    }
    return json.dumps(told, ensure_ascii=False)
