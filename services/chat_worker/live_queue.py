"""The chunks that wait to be sent to Redis: filled by the engine, emptied by the live sender.

Its memory is bounded: where Redis is away for long, the streams that wait longest are given up, and
their readers go on from the stored log.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from shared.live import Entry

ENTRY_BYTES: Final = 256 * 1024  # of one entry, or one chunk that is longer
BATCH_BYTES: Final = 1024 * 1024  # of the entries that are sent together, about
MOST_BYTES: Final = 64 * 1024 * 1024  # of all that waits


class LiveStream:
    """What waits of one job's stream; beside `append` and `end` it is its queue's and sender's.

    `silence` is the longest gap between two chunks, in seconds.
    """

    def __init__(self, queue: LiveQueue, job_id: str, silence: float) -> None:
        self._queue = queue
        self.job_id = job_id
        self.silence = silence
        self.next = 0  # the number of the next chunk
        self.waiting: list[bytes] = []
        self.size = 0  # bytes of those
        self.ended = False
        self.given_up = False
        self.in_doubt = False  # Redis may have what seems to wait
        self.renew_at = -math.inf  # by the monotonic clock: when to set its life anew

    def append(self, chunk: bytes) -> None:
        """Send the next chunk soon; numbers begin at 0. From any thread."""
        self._queue.append(self, chunk)

    def end(self) -> None:
        """Nothing follows. From any thread."""
        self._queue.end(self)


@dataclass(frozen=True, slots=True)
class Parcel:
    """What is to be sent of one stream at once; its entry may be without chunks at the end."""

    stream: LiveStream
    entry: Entry


class LiveQueue:
    """The streams with something to send, in the order in which they began to wait."""

    def __init__(self) -> None:
        self._change = threading.Condition()
        self._streams: dict[LiveStream, None] = {}
        self._size = 0
        self._closed = False

    def stream(self, job_id: str, *, silence: float) -> LiveStream:
        """The stream of this job."""
        return LiveStream(self, job_id, silence)

    def append(self, stream: LiveStream, chunk: bytes) -> None:
        """Let this chunk wait."""
        with self._change:
            stream.next += 1
            if stream.given_up:
                return
            stream.waiting.append(chunk)
            self._count(stream, len(chunk))
            self._enqueue(stream)
            while self._size > MOST_BYTES:
                self._give_up(next(iter(self._streams)))

    def end(self, stream: LiveStream) -> None:
        """Let the end of this stream wait, if it ever began."""
        with self._change:
            stream.ended = True
            if stream.next:
                self._enqueue(stream)

    def give_up(self, stream: LiveStream) -> None:
        """Send nothing more of this stream but its end."""
        with self._change:
            self._give_up(stream)

    def close(self) -> None:
        """End all waiting; what is in the queue can still be taken."""
        with self._change:
            self._closed = True
            self._change.notify()

    def pause(self, seconds: float) -> bool:
        """Wait, less when the queue is closed; whether it is."""
        with self._change:
            return self._change.wait_for(lambda: self._closed, seconds)

    def take(self) -> Sequence[Parcel]:
        """Wait for something and take it, the longest waiting first; empty when closed."""
        with self._change:
            self._change.wait_for(lambda: self._closed or self._streams)
            parcels = []
            size = 0
            while self._streams and size < BATCH_BYTES:
                parcel, taken = self._first()
                parcels.append(parcel)
                size += taken
            return parcels

    def put_back(self, parcels: Iterable[Parcel]) -> None:
        """Let these wait again, before all others."""
        with self._change:
            others, self._streams = self._streams, {}
            for parcel in parcels:
                stream = parcel.stream
                if not stream.given_up:
                    stream.waiting = [*parcel.entry.chunks, *stream.waiting]
                    self._count(stream, sum(map(len, parcel.entry.chunks)))
                if stream.waiting or stream.ended:
                    self._streams[stream] = None
            self._streams |= others

    def _enqueue(self, stream: LiveStream) -> None:
        if not self._streams:
            self._change.notify()
        self._streams[stream] = None

    def _first(self) -> tuple[Parcel, int]:
        stream = next(iter(self._streams))
        del self._streams[stream]
        first = stream.next - len(stream.waiting)
        chunks, size = _fitting(stream)
        stream.waiting = stream.waiting[len(chunks) :]
        self._count(stream, -size)
        if stream.waiting:
            self._streams[stream] = None
        return Parcel(stream, Entry(first, chunks)), size

    def _give_up(self, stream: LiveStream) -> None:
        self._streams.pop(stream, None)
        self._count(stream, -stream.size)
        stream.waiting = []
        stream.given_up = True

    def _count(self, stream: LiveStream, size: int) -> None:
        stream.size += size
        self._size += size


def _fitting(stream: LiveStream) -> tuple[list[bytes], int]:
    """The first waiting chunks that one entry takes, and their bytes."""
    if stream.size <= ENTRY_BYTES:
        return stream.waiting, stream.size
    size = 0
    for place, chunk in enumerate(stream.waiting):
        size += len(chunk)
        if size > ENTRY_BYTES and place:
            return stream.waiting[:place], size - len(chunk)
    return stream.waiting, size
