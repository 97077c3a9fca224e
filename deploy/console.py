"""What a run prints: the lines of all its processes."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence


class Console:
    """Lines of all processes on standard error, each behind its name; or as `json`, as they are.

    Then what is no JSON (the runner's own lines, Valkey's, a crash before there is a log) becomes
    the message of an object, so that every line is one.
    """

    def __init__(self, names: Sequence[str], form: str = "line") -> None:
        self._width = max(map(len, names))
        self._json = form == "json"
        self._open = True

    def write(self, name: str, line: str) -> None:
        """Print one line. A reader that went away (a closed terminal) must not stop anything."""
        if not self._open:
            return
        shown = _as_json(name, line) if self._json else f"{name:<{self._width}} | {line}"
        try:
            print(shown, file=sys.stderr, flush=True)
        except OSError:
            self._open = False


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
