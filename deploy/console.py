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

    def write(self, name: str, *lines: str, level: str = "INFO") -> None:
        """Print lines. A reader that went away (a closed terminal) must not stop anything.

        A full disk loses lines; the first that fits again says how many.
        """
        if self._lost:
            lost, self._lost = self._lost, 0
            self._print("dragoman", f"{lost} lines were lost: the log's disk was full")
            if self._lost:  # and so is this one, which does not count
                self._lost = lost + len(lines)
                return
        self._print(name, *lines, level=level)

    def _print(self, name: str, *lines: str, level: str = "INFO") -> None:
        if not self._open:
            return
        shown = [
            _as_json(name, line, level) if self._json else f"{name:<{self._width}} | {line}"
            for line in lines
        ]
        # Unbuffered: what does not fit would wait in a buffer and fail the lines after it, too.
        text = "".join(f"{line}\n" for line in shown).encode(errors="backslashreplace")
        try:
            text = self._cut + text
            while text:
                text = text[os.write(sys.stderr.fileno(), text) :]
                self._cut = b"\n"  # will end half a line, if the rest does not fit
        except OSError as fault:
            if fault.errno in _FULL:
                self._lost += text.removeprefix(b"\n").count(b"\n")
            else:
                self._open = False
        else:
            self._cut = b""


def _as_json(name: str, line: str, level: str) -> str:
    if line.startswith('{"time": ') and line.endswith("}"):
        return line
    now = time.time()
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now))
    told = {
        "time": f"{stamp}.{int(now % 1 * 1000):03d}Z",
        "level": level,
        "service": name,
        "message": line,
    }
    return json.dumps(told, ensure_ascii=False)
