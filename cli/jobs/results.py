"""The file of results: a JSON line for each chat that has ended, and never two for one.

It is the memory of a run: what is in it is not asked for again. A line that a kill has cut short is
the last one, and is taken away at the next start; its chat's job is found by its key again.

A chat that is tried once more has two lines until the run ends: the last counts. Its key names the
job that failed, so that an interrupted run finds the job that it made in its place.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import shutil
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, Final, NamedTuple

from cli.failures import Failure

BEGIN: Final = b'{"line":'
DONE: Final = "completed"
LONGEST: Final = 500  # characters of a reason that is kept
AGAIN: Final = "."  # in a key, between that of the line and the job that failed before


class _Result(NamedTuple):
    """What is remembered of a line's result."""

    key: str
    status: str
    job_id: str
    why: str | None

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> _Result:
        error = row.get("error")
        told = error if isinstance(error, dict) and row["status"] != DONE else {}
        why = told.get("message")
        why = None if why is None else sys.intern(str(why)[:LONGEST])  # many are the same
        return cls(row["idempotency_key"], row["status"], str(row.get("job_id")), why)

    @property
    def line_key(self) -> str:
        """The key of the line itself, whatever was tried before."""
        return self.key.partition(AGAIN)[0]


class Results:
    """The open file; one process at a time may have it. Close it, or use it as a context manager.

    With `retry` the chats whose jobs did not complete have no result yet. Raises Failure where the
    file is another's, and OSError.
    """

    def __init__(self, path: Path, *, retry: bool = False) -> None:
        self.path = path
        self.statuses: Counter[str] = Counter()
        self._last: dict[int, _Result] = {}
        self._again: set[int] = set()  # lines that get another result
        self._replaced = False
        self._dirty = asyncio.Event()
        self._file: IO[bytes] = _locked(path)
        try:
            self._load()
        except BaseException:
            self._file.close()
            raise
        if retry:
            self._again = {n for n, last in self._last.items() if last.status != DONE}
            self.statuses = Counter({DONE: self.statuses[DONE]} if self.statuses[DONE] else {})

    def __contains__(self, number: int) -> bool:
        return number in self._last and number not in self._again

    def __len__(self) -> int:
        return len(self._last) - len(self._again)

    @property
    def retried(self) -> int:
        """How many chats are still to be tried once more."""
        return len(self._again)

    def reasons(self) -> list[tuple[str, int]]:
        """Why jobs did not complete, and how many for each; the most frequent first."""
        told = (last.why for last in self._last.values() if last.status != DONE)
        return Counter(why for why in told if why is not None).most_common()

    def check(self, number: int, key: str) -> None:
        """Raises Failure where the result of this line is one of another body."""
        if number in self._last and self._last[number].line_key != key:
            raise Failure(
                f"Expected line {number} as it was when {self.path} got its result, got another "
                "text, model or --run. Name another file of results with --output."
            )

    def key_of(self, number: int, key: str) -> str:
        """The key to submit a line with: its own, or for another job one with the last job's id."""
        return f"{key}{AGAIN}{self._last[number].job_id}" if number in self._again else key

    def add(self, row: dict[str, Any]) -> None:
        """Write the result of a line; it survives this process at once, and the machine soon."""
        number = row["line"]
        if number in self:
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
        """Bring everything to the disk, each line's last result alone, and let others write."""
        try:
            os.fsync(self._file.fileno())
            if self._replaced:
                self._shorten()
        finally:
            self._file.close()

    def __enter__(self) -> Results:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _load(self) -> None:
        self._file.seek(0)
        good = 0
        for number, text in enumerate(self._file, 1):
            if _is_torn(text):
                break
            row = _row_of(text)
            if row is None or not self._follows(row):
                raise Failure(
                    f"Expected results of `jobs submit` in {self.path}, each line's once, got "
                    f"something else in line {number}. Name another file with --output."
                )
            self._remember(row)
            good += len(text)
        self._file.truncate(good)
        self._file.seek(0, os.SEEK_END)

    def _follows(self, row: dict[str, Any]) -> bool:
        """Whether this is the first result of its line, or one in place of a failed job's."""
        before, new = self._last.get(row["line"]), _Result.of(row)
        if before is None:
            return True
        return before.status != DONE and new.key == f"{before.line_key}{AGAIN}{before.job_id}"

    def _remember(self, row: dict[str, Any]) -> None:
        number, new = row["line"], _Result.of(row)
        if number in self._last:
            self._replaced = True
            if number not in self._again:
                self.statuses -= Counter([self._last[number].status])
        self._again.discard(number)
        self._last[number] = new
        self.statuses[new.status] += 1

    def _shorten(self) -> None:
        """Put a file in this one's place that has the last result of each line only."""
        path = self.path.resolve()
        shorter = path.with_name(f"{path.name}.new")
        self._file.seek(0)
        with shorter.open("wb") as file:
            for text in self._file:
                row = _row_of(text)
                if row is not None and self._last[row["line"]] == _Result.of(row):
                    file.write(text)
            file.flush()
            os.fsync(file.fileno())
        shutil.copymode(path, shorter)
        shorter.replace(path)


def _locked(path: Path) -> IO[bytes]:
    while True:
        file = path.open("a+b")
        try:
            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Whoever had the lock may have put another file in the place of the one opened here.
            if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                return file
        except BlockingIOError:
            file.close()
            raise Failure(
                f"Expected {path} for this process alone, got one that another `jobs submit` "
                "is writing. Wait for it, or name another file with --output."
            ) from None
        except BaseException:
            file.close()
            raise
        file.close()


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
