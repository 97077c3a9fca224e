"""Logins of the last minute, in each process: ten that fail of an address, thirty of a key.

Keys cannot be guessed (192 random bits); this keeps the log readable, and bounds what a loop of
logins adds to the audit trail, which is never purged.
"""

from __future__ import annotations

import ipaddress
import time
from collections import deque
from collections.abc import Callable
from typing import Final

from shared.errors import RateLimited

MOST_A_MINUTE: Final = 10  # failures
MOST_OF_A_KEY: Final = 30  # logins that succeed
MINUTE: Final = 60.0
MOST_ADDRESSES: Final = 10_000
NETWORK_BITS: Final = 64  # of IPv6: what one subscriber has


class Attempts:
    """The logins of the last minute, by address and by key."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._last: dict[str, deque[float]] = {}

    def failed(self, address: str | None) -> None:
        """One more login from here failed; raises RateLimited when these are too many.

        Whoever has a key is let in all the same: many people may have one address.
        """
        self._note(f"address {_place(address)}", MOST_A_MINUTE, "failed logins", "one address")

    def succeeded(self, key_id: str) -> None:
        """One more login with this key; raises RateLimited when these are too many."""
        self._note(f"key {key_id}", MOST_OF_A_KEY, "logins", "one key")

    def _note(self, name: str, most: int, what: str, whose: str) -> None:
        now = self._monotonic()
        last = self._last.get(name)
        if last is None:
            self._make_room(now)
            last = self._last[name] = deque()
        while last and last[0] <= now - MINUTE:
            last.popleft()
        if len(last) >= most:
            wait = last[0] + MINUTE - now
            raise RateLimited(
                f"Expected at most {most} {what} a minute from {whose}, got one more. Try again in "
                f"{max(wait, 1):.0f} s.",
                retry_after=wait,
            )
        last.append(now)

    def _make_room(self, now: float) -> None:
        if len(self._last) < MOST_ADDRESSES:
            return
        self._last = {name: last for name, last in self._last.items() if last[-1] > now - MINUTE}
        if len(self._last) >= MOST_ADDRESSES:
            self._last.clear()


def _place(address: str | None) -> str:
    try:
        found = ipaddress.ip_address(address or "")
    except ValueError:
        return address or ""
    if isinstance(found, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((found, NETWORK_BITS), strict=False))
    return str(found)
