"""The streams of this worker and who follows them: filled by calls, emptied by the live sender.

It lives on the engine's loop, and nowhere else. A stream's chunks are in its log anyway; what is
kept beside it is where each reader is. So nothing piles up while Redis is away, a stream that
nobody follows costs nothing here, and a reader who missed something gets it from the log as long as
the job runs. After that the row has it.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Final

from shared.live import FOLLOWED_SECONDS, ChunkLog, Entry, Follows

ENTRY_BYTES: Final = 256 * 1024  # of one stream for one reader at once, or one chunk that is longer
BATCH_BYTES: Final = 1024 * 1024  # of all that is sent together, about
MOST_FOLLOWED: Final = 100_000  # jobs that are kept in mind, wherever they run

Moves = dict[tuple["LiveStream", str], int]


@dataclass(slots=True)
class _Reader:
    """Where one reader of one job is: `next` is the number of the chunk to send him."""

    next: int
    until: float  # by the monotonic clock: when he is forgotten


class LiveStream:
    """The chunks of one claim, all in its log. Nobody sees any before `show`, and all after it."""

    def __init__(self, queue: LiveQueue, job_id: str) -> None:
        self.job_id = job_id
        self.log = ChunkLog()
        self.shown = False
        self._queue = queue

    def append(self, chunk: bytes) -> None:
        """Take the next chunk; numbers begin at 0."""
        self.log.append(chunk)
        if self.shown:
            self._queue.changed(self)

    def show(self) -> None:
        """Let readers see the chunks, those to come as well."""
        self.shown = True
        self._queue.changed(self)

    def end(self) -> None:
        """Nothing follows: what readers miss by then is sent, and later in the row."""
        self._queue.ended(self)


@dataclass(slots=True)
class Batch:
    """What is to be sent at once, by reader; `moves` tells where each was before."""

    entries: Mapping[str, list[Entry]]
    moves: Moves = field(default_factory=dict)


class LiveQueue:
    """The streams that run here, and those of them that a reader has not got whole.

    `due` is set while there are such.
    """

    def __init__(self, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.due = asyncio.Event()
        self._monotonic = monotonic
        self._running: dict[str, LiveStream] = {}
        self._readers: dict[str, dict[str, _Reader]] = {}  # by job, wherever it runs
        self._due: dict[LiveStream, None] = {}  # in the order in which they began to wait
        self._forget_at = 0.0

    def stream(self, job_id: str) -> LiveStream:
        """The stream of a claim of this job."""
        stream = self._running[job_id] = LiveStream(self, job_id)
        return stream

    def changed(self, stream: LiveStream) -> None:
        """Readers may see more of this stream."""
        if stream.job_id in self._readers and stream.log.count:
            self._enqueue(stream)

    def ended(self, stream: LiveStream) -> None:
        """Forget a stream, but for what is still to be sent."""
        if self._running.get(stream.job_id) is stream:
            del self._running[stream.job_id]
        # What nobody saw may be begun anew, by this worker or another.
        if stream.shown and stream.log.count and stream not in self._due:
            self._readers.pop(stream.job_id, None)

    def follow(self, follows: Follows) -> None:
        """Note what a reader says."""
        now = self._monotonic()
        for job_id, last in follows.begin.items():
            self._begin(job_id, follows.reader, last, now)
        for job_id, last in follows.still.items():
            known = self._readers.get(job_id, {}).get(follows.reader)
            if known is None:
                self._begin(job_id, follows.reader, last, now)
            else:
                known.until = now + FOLLOWED_SECONDS
        for job_id in follows.stop:
            self._stop(job_id, follows.reader)
        if now >= self._forget_at:
            self._forget_at = now + FOLLOWED_SECONDS
            self._forget(now)

    def gone(self, reader: str) -> None:
        """Nobody hears this reader's messages any more."""
        for job_id in [job_id for job_id, found in self._readers.items() if reader in found]:
            self._stop(job_id, reader)

    def take(self) -> Batch:
        """What is to be sent now, the longest waiting first; it may be nothing."""
        entries: defaultdict[str, list[Entry]] = defaultdict(list)
        batch = Batch(entries)
        size = 0
        for stream in list(self._due):
            if size >= BATCH_BYTES:
                break
            del self._due[stream]
            whole = True
            for reader, known in self._readers.get(stream.job_id, {}).items():
                if not (chunks := stream.log.since(known.next, ENTRY_BYTES)):
                    continue
                entries[reader].append(Entry(stream.job_id, known.next, chunks))
                batch.moves[stream, reader] = known.next
                known.next += len(chunks)
                size += sum(map(len, chunks))
                whole = whole and known.next == stream.log.count
            if not whole:
                self._due[stream] = None
            elif self._running.get(stream.job_id) is not stream:
                self._readers.pop(stream.job_id, None)  # it has ended
        if not self._due:
            self.due.clear()
        return batch

    def waits(self, job_ids: Collection[str]) -> bool:
        """Whether a reader has still to be sent something of one of these jobs."""
        return any(stream.job_id in job_ids for stream in self._due)

    def put_back(self, batch: Batch) -> None:
        """Let what was taken be sent again."""
        until = self._monotonic() + FOLLOWED_SECONDS
        for (stream, reader), first in batch.moves.items():
            # Forgotten where the stream has ended: then he is known for this batch alone.
            readers = self._readers.setdefault(stream.job_id, {})
            known = readers.setdefault(reader, _Reader(first, until))
            known.next = min(known.next, first)
            self._enqueue(stream)

    def _begin(self, job_id: str, reader: str, last: int, now: float) -> None:
        if job_id not in self._readers and len(self._readers) >= MOST_FOLLOWED:
            return  # what is not sent now is read from the row later
        readers = self._readers.setdefault(job_id, {})
        readers[reader] = _Reader(last + 1, now + FOLLOWED_SECONDS)
        stream = self._running.get(job_id)
        if stream is not None and stream.shown and stream.log.count > last + 1:
            self._enqueue(stream)

    def _stop(self, job_id: str, reader: str) -> None:
        if (found := self._readers.get(job_id)) is not None:
            found.pop(reader, None)
            if not found:
                del self._readers[job_id]

    def _forget(self, now: float) -> None:
        over = [
            (job_id, reader)
            for job_id, found in self._readers.items()
            for reader, known in found.items()
            if known.until < now
        ]
        for job_id, reader in over:
            self._stop(job_id, reader)

    def _enqueue(self, stream: LiveStream) -> None:
        self._due[stream] = None
        self.due.set()
