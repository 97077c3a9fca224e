"""The chunks of a job as its row keeps them (`chat_job.log_sealed`).

The sealed bytes are gzip (RFC 1952, one member or more) of JSON Lines: every chunk that was
numbered, in order and each ended by a line feed, exactly as it was published (`live.parcels`). So
line N holds `sequence_number` N, and a log without a chunk is none: NULL.

Chunks repeat most of each other. Packed, a log is some 20 times smaller (4 times with five log
probabilities a token), for about 1 µs a chunk, which the shorter sealing gives back.
"""

from __future__ import annotations

import gzip
import zlib
from bisect import bisect_right
from typing import Final

MOST_LOG_BYTES: Final = 32 * 1024 * 1024  # of one job's chunks, as its upstream may send
_GZIP: Final = 16  # added to the window's bits: a header and a trailer as gzip has them
# zlib's own measures (15 and 8) clear 256 KiB for each segment: 77 µs where these take 23, and pack
# chunks no smaller, which repeat what came a few hundred bytes before.
_WINDOW_BITS: Final = 13
_MEMORY_LEVEL: Final = 5
_SEGMENT_BYTES: Final = 32_768  # packed at once, in 0.1 ms; what a running job holds unpacked


class ChunkLog:
    """The log of one running job; holds little memory, however long it grows.

    `count` is the number of chunks, `size` that of their bytes, line feeds included. It is used by
    one thread at a time.
    """

    __slots__ = ("_firsts", "_packed", "_segment", "_segment_size", "count", "size")

    def __init__(self) -> None:
        self.count = 0
        self.size = 0
        self._packed: list[bytes] = []
        self._firsts: list[int] = []  # the number of the first chunk in each of those
        self._segment: list[bytes] = []
        self._segment_size = 0

    def append(self, chunk: bytes) -> None:
        """Add the next chunk: JSON without a line feed in it."""
        self.count += 1
        self.size += len(chunk) + 1
        self._segment.append(chunk)
        self._segment_size += len(chunk) + 1
        if self._segment_size >= _SEGMENT_BYTES:
            self._pack()

    def since(self, first: int, most_bytes: int) -> list[bytes]:
        """The chunks from number `first` on, as many as `most_bytes` take, and one at least.

        What came last, some 32 KiB, is at hand; what came before is unpacked, 0.1 ms for as much.
        """
        place = bisect_right(self._firsts, first) - 1
        begin = self.count - len(self._segment)
        if first >= begin:
            return _fitting(self._segment[first - begin :], most_bytes)
        found = logged_chunks(self._packed[place])[first - self._firsts[place] :]
        size = sum(map(len, found))
        while size < most_bytes and (place := place + 1) < len(self._packed):
            found += (more := logged_chunks(self._packed[place]))
            size += sum(map(len, more))
        if size < most_bytes:
            found += self._segment
        return _fitting(found, most_bytes)

    def packed(self) -> bytes:
        """The bytes to seal; empty when there was no chunk.

        What is at hand stays so: readers who have not got the last chunks ask for them now.
        """
        return b"".join([*self._packed, *([_packed(self._segment)] if self._segment else [])])

    def _pack(self) -> None:
        self._packed.append(_packed(self._segment))
        self._firsts.append(self.count - len(self._segment))
        self._segment.clear()
        self._segment_size = 0


def _packed(chunks: list[bytes]) -> bytes:
    packer = zlib.compressobj(1, zlib.DEFLATED, _GZIP + _WINDOW_BITS, _MEMORY_LEVEL)
    return packer.compress(b"\n".join([*chunks, b""])) + packer.flush()


def logged_chunks(packed: bytes) -> list[bytes]:
    """Every chunk in a log, number 0 first."""
    return gzip.decompress(packed).split(b"\n")[:-1]


def _fitting(chunks: list[bytes], most_bytes: int) -> list[bytes]:
    """The first of these, as many as `most_bytes` take, and one at least."""
    size = 0
    for place, chunk in enumerate(chunks):
        size += len(chunk)
        if size > most_bytes and place:
            return chunks[:place]
    return chunks
