"""Who follows which jobs: what the readers (registry processes) tell all chat workers.

    dragoman:follows      a message of a reader, JSON: {"reader", "begin", "still", "stop"}
    dragoman:who-follows  a worker begins to listen: every reader tells it all that he follows

`begin` and `still` say after which number a reader wants a job's chunks (-1: all). `begin` asks for
them now, whatever was sent before. `still` renews: a worker that knows of it goes on where it is.
What is not renewed for `FOLLOWED_SECONDS` is over. The job may run nowhere yet: workers keep it in
mind.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

FOLLOWS: Final = "dragoman:follows"
WHO_FOLLOWS: Final = "dragoman:who-follows"
FOLLOWED_SECONDS: Final = 20.0  # after the last word of it
RENEW_SECONDS: Final = 5.0

_Last = Annotated[int, msgspec.Meta(ge=-1)]


class Follows(msgspec.Struct, frozen=True, omit_defaults=True):
    """What one reader says; jobs by their bare ids."""

    reader: str
    begin: dict[str, _Last] = {}
    still: dict[str, _Last] = {}
    stop: tuple[str, ...] = ()

    def message(self) -> bytes:
        """As it is published."""
        return msgspec.json.encode(self)


def follows_of(message: bytes) -> Follows:
    """What a message says; raises ValueError for what no reader of ours wrote."""
    try:
        return msgspec.json.decode(message, type=Follows)
    except msgspec.MsgspecError as fault:
        raise ValueError(str(fault)) from None
