"""Follows the event stream; whatever may have been missed costs one read of the database.

The relay writes entries `<seq>-0` without gaps. The last number is kept in memory only: a reader
starts with the database, and returns to it whenever the next number is not the following one, the
stream is missing or ends elsewhere, or five minutes have passed (DESIGN.md section 4).
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import redis

from shared.live import STREAM

BLOCK_SECONDS: Final = 1.0
COMPARE_SECONDS: Final = 10.0  # between two questions for the stream's last id
REREAD_SECONDS: Final = 300.0
REST_SECONDS: Final = 1.0  # after an error, and at least between two gaps
BATCH: Final = 500

logger = logging.getLogger(__name__)


class Follower:
    """One reader of the stream, in its own thread.

    `reread` reads the database and returns the number of its newest event; `on_event` gets the
    fields `id, seq, type, subject, revision, at` of one entry, as text, in order. Errors in
    `unavailable` mean that the database is away. `client` must wait longer than the block.
    """

    def __init__(
        self,
        client: redis.Redis,
        *,
        reread: Callable[[], int],
        on_event: Callable[[Mapping[str, str]], None],
        unavailable: tuple[type[Exception], ...],
        clock: Callable[[], float] = time.monotonic,
        block_seconds: float = BLOCK_SECONDS,
    ) -> None:
        self._block_ms = int(block_seconds * 1000)
        self._redis = client
        self._reread = reread
        self._on_event = on_event
        self._unavailable = unavailable
        self._clock = clock
        self._seq: int | None = None
        self._read_at = self._compared_at = float("-inf")
        self._deaf = False
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="follower", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread; a read under way may outlive this by its block."""
        self._stopping.set()
        self._thread.join(timeout=BLOCK_SECONDS + 1)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                calm = self.turn()
            except redis.RedisError as fault:
                self._note_deaf(fault)
                calm = False
            except self._unavailable:
                calm = False  # the scheduler says so in the log
            if not calm:
                self._stopping.wait(REST_SECONDS)

    def turn(self) -> bool:
        """One read of the stream; False when it showed a gap, so that the next should wait."""
        now = self._clock()
        if self._seq is None or now - self._read_at >= REREAD_SECONDS:
            self._start_over(now)
        entries = self._next()
        if self._stopping.is_set():
            return False
        if self._deaf:
            self._deaf = False
            logger.info("the event stream answers again")
        for seq, fields in entries:
            if seq != self._expected:
                self._start_over(now)
                return False
            self._on_event(fields)
            self._seq = seq
        if not entries and now - self._compared_at >= COMPARE_SECONDS:
            self._compared_at = now
            if self._last_generated() != self._seq:
                self._start_over(now)
        return True

    @property
    def _expected(self) -> int:
        return (self._seq or 0) + 1

    def _start_over(self, now: float) -> None:
        self._seq = self._reread()
        self._read_at = now

    def _next(self) -> list[tuple[int, Mapping[str, str]]]:
        answer: Any = self._redis.xread(
            {STREAM: f"{self._seq}-0"}, count=BATCH, block=self._block_ms
        )
        streams = answer.items() if isinstance(answer, dict) else answer or []
        found = []
        for _name, entries in streams:
            for entry_id, fields in entries:
                number = entry_id.partition("-")[0]
                # Whatever is not the relay's is a gap: number 0 follows nothing.
                found.append((int(number) if "seq" in fields else 0, fields))
        return found

    def _last_generated(self) -> int:
        """The stream's own last number; 0 when there is no stream."""
        try:
            about: Any = self._redis.xinfo_stream(STREAM)
        except redis.ResponseError:
            return 0
        return int(about["last-generated-id"].partition("-")[0])

    def _note_deaf(self, fault: redis.RedisError) -> None:
        if not self._deaf and not self._stopping.is_set():
            self._deaf = True
            logger.warning(
                "the event stream is away; the database is read instead",
                extra={"reason": str(fault)},
            )
