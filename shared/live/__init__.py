"""What services tell each other through Redis, and the bytes of a job's chunks there and at rest.

notices    hints that a row changed
streams    the chunks of a running job, for whoever follows it
chunk_log  the chunks of an ended job, as its row keeps them

All that is in Redis is expendable: whoever misses it waits for the row and reads that.
"""

from shared.live.chunk_log import MOST_LOG_BYTES, ChunkLog, logged_chunks
from shared.live.notices import CANCELLED, ENDED, REVOKED, STREAM, NoticeSender, job_ids_of
from shared.live.streams import (
    KEPT_SECONDS,
    Entry,
    entry_id,
    open_entry,
    position_after,
    seal_entry,
    stream_key,
)

__all__ = [
    "CANCELLED",
    "ENDED",
    "KEPT_SECONDS",
    "MOST_LOG_BYTES",
    "REVOKED",
    "STREAM",
    "ChunkLog",
    "Entry",
    "NoticeSender",
    "entry_id",
    "job_ids_of",
    "logged_chunks",
    "open_entry",
    "position_after",
    "seal_entry",
    "stream_key",
]
