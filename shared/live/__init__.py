"""What services tell each other through Redis, and the bytes of a job's chunks there and at rest.

notices    hints that a row changed
follows    which jobs the readers of chunks follow
parcels    the chunks of running jobs, for one reader
chunk_log  the chunks of an ended job, as its row keeps them
away       what the log is told while Redis is away

All that is in Redis is expendable: whoever misses it waits for the row and reads that.
"""

from shared.live.away import Away
from shared.live.chunk_log import MOST_LOG_BYTES, ChunkLog, logged_chunks
from shared.live.follows import (
    FOLLOWED_SECONDS,
    FOLLOWS,
    RENEW_SECONDS,
    WHO_FOLLOWS,
    Follows,
    follows_of,
)
from shared.live.notices import CANCELLED, ENDED, REVOKED, STREAM, named_in, notice_of
from shared.live.parcels import Entry, channel_of, open_entries, seal_entries

__all__ = [
    "CANCELLED",
    "ENDED",
    "FOLLOWED_SECONDS",
    "FOLLOWS",
    "MOST_LOG_BYTES",
    "RENEW_SECONDS",
    "REVOKED",
    "STREAM",
    "WHO_FOLLOWS",
    "Away",
    "ChunkLog",
    "Entry",
    "Follows",
    "channel_of",
    "follows_of",
    "logged_chunks",
    "named_in",
    "notice_of",
    "open_entries",
    "seal_entries",
]
