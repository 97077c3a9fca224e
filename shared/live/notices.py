"""Notices between processes: hints that save a wait, and never the only way to learn something.

A notice names what changed, ids with commas between them. It may be lost, doubled or late; whoever
waits also reads the row once a second.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

ENDED: Final = "dragoman:ended"  # job ids whose row is terminal
REVOKED: Final = "dragoman:revoked"  # ids of keys, digests of sessions: they authenticate nobody
CANCELLED: Final = "dragoman:cancelled"  # job ids that a worker may still be running
STREAM: Final = "dragoman:events"  # provider events; entry ids are `<seq>-0`


def notice_of(names: Iterable[str]) -> str:
    """The notice that names these."""
    return ",".join(names)


def named_in(notice: bytes) -> list[str]:
    """The ids in a notice."""
    return notice.decode().split(",")
