"""An event as its readers see it, as JSON and as a frame of a stream."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from shared.store.events import Event

PING: Final = b": ping\n"  # a comment, no block of its own: some clients choke on empty blocks


def document(event: Event) -> dict[str, Any]:
    """One fact about a provider; `detail` says what changed, without any secret."""
    return {
        "id": event.id,
        "object": "event",
        "seq": event.seq,
        "type": event.type.value,
        "provider": event.subject,
        "revision": event.revision,
        "created_at": int(event.at),
        "detail": event.detail,
    }


def frames(events: Iterable[Event]) -> bytes:
    """Events as server-sent events, with their numbers as ids (WHATWG HTML, section 9.2).

    No `event:` line: with one, browsers hand an event only to those who listen for its very type.
    """
    return b"".join(
        b"id: %d\ndata: %b\n\n" % (event.seq, msgspec.json.encode(document(event)))
        for event in events
    )
