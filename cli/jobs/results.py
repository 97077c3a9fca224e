"""The file of results: a JSON line for each chat that has ended, and never two for one.

It is the memory of a run: what is in it is not asked for again. A line that a kill has cut short is
the last one, and is taken away at the next start; its chat's job is found by its key again.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
from collections import Counter
from pathlib import Path
from typing import IO, Any, Final

from cli.failures import Failure

BEGIN: Final = b'{"line":'


class Results:
    """The open file; one process at a time may have it. Close it, or use it as a context manager.

    Raises Failure where the file is another's, and OSError.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.statuses: Counter[str] = Counter()
        self._keys: dict[int, str] = {}
        self._dirty = asyncio.Event()
        self._file: IO[bytes] = path.open("a+b")
        try:
            self._lock()
            self._load()
        except BaseException:
            self._file.close()
            raise

    def __contains__(self, number: int) -> bool:
        return number in self._keys

    def __len__(self) -> int:
        return len(self._keys)

    def check(self, number: int, key: str) -> None:
        """Raises Failure where the result of this line is one of another body."""
        if self._keys.get(number, key) != key:
            raise Failure(
                f"Expected line {number} as it was when {self.path} got its result, got another "
                "text, model or --run. Name another file of results with --output."
            )

    def add(self, row: dict[str, Any]) -> None:
        """Write the result of a line; it survives this process at once, and the machine soon."""
        number = row["line"]
        if number in self._keys:
            raise AssertionError(f"line {number} has its result already")
        text = json.dumps(row, ensure_ascii=False, separators=(",", ":"))
        self._file.write(text.encode("utf-8", "replace") + b"\n")
        self._file.flush()
        self._remember(row)
        self._dirty.set()

    async def sync(self) -> None:
        """Bring what is added to the disk, again and again, until cancelled."""
        while True:
            await self._dirty.wait()
            self._dirty.clear()
            await asyncio.to_thread(os.fsync, self._file.fileno())

    def close(self) -> None:
        """Bring everything to the disk and let others write."""
        os.fsync(self._file.fileno())
        self._file.close()

    def __enter__(self) -> Results:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _lock(self) -> None:
        try:
            fcntl.flock(self._file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Failure(
                f"Expected {self.path} for this process alone, got one that another `jobs submit` "
                "is writing. Wait for it, or name another file with --output."
            ) from None

    def _load(self) -> None:
        self._file.seek(0)
        good = 0
        for number, text in enumerate(self._file, 1):
            if _is_torn(text):
                break
            row = _row_of(text)
            if row is None or row["line"] in self._keys:
                raise Failure(
                    f"Expected results of `jobs submit` in {self.path}, each line's once, got "
                    f"something else in line {number}. Name another file with --output."
                )
            self._remember(row)
            good += len(text)
        self._file.truncate(good)
        self._file.seek(0, os.SEEK_END)

    def _remember(self, row: dict[str, Any]) -> None:
        self._keys[row["line"]] = row["idempotency_key"]
        self.statuses[row["status"]] += 1


def _is_torn(text: bytes) -> bool:
    """Whether this is how one of our lines begins, without its end."""
    begins = text.startswith(BEGIN) or BEGIN.startswith(text)
    return begins and not text.endswith(b"\n")


def _row_of(text: bytes) -> dict[str, Any] | None:
    """The result in a line; None for what is none."""
    try:
        row = json.loads(text)
        whole = isinstance(row["line"], int) and isinstance(row["status"], str)
        return row if whole and isinstance(row["idempotency_key"], str) else None
    except (ValueError, KeyError, TypeError):
        return None
