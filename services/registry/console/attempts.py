"""Logins that failed: each address may fail ten times a minute, in each process.

Keys cannot be guessed (192 random bits); this keeps the log and the audit trail readable.
"""

from __future__ import annotations

import ipaddress
import time
from collections import deque
from collections.abc import Callable
from typing import Final

from shared.errors import RateLimited

MOST_A_MINUTE: Final = 10
MINUTE: Final = 60.0
MOST_ADDRESSES: Final = 10_000
NETWORK_BITS: Final = 64  # of IPv6: what one subscriber has


class Attempts:
    """The failures of the last minute, by address."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._failed: dict[str, deque[float]] = {}

    def failed(self, address: str | None) -> None:
        """One more login from here failed; raises RateLimited when these are too many.

        Whoever has a key is let in all the same: many people may have one address.
        """
        place, now = _place(address), self._monotonic()
        failed = self._failed.get(place)
        if failed is None:
            self._make_room(now)
            failed = self._failed[place] = deque()
        while failed and failed[0] <= now - MINUTE:
            failed.popleft()
        if len(failed) >= MOST_A_MINUTE:
            wait = failed[0] + MINUTE - now
            raise RateLimited(
                f"Expected at most {MOST_A_MINUTE} failed logins a minute from one address, got "
                f"one more. Try again in {max(wait, 1):.0f} s.",
                retry_after=wait,
            )
        failed.append(now)

    def _make_room(self, now: float) -> None:
        if len(self._failed) < MOST_ADDRESSES:
            return
        self._failed = {p: f for p, f in self._failed.items() if f[-1] > now - MINUTE}
        if len(self._failed) >= MOST_ADDRESSES:
            self._failed.clear()


def _place(address: str | None) -> str:
    try:
        found = ipaddress.ip_address(address or "")
    except ValueError:
        return address or ""
    if isinstance(found, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((found, NETWORK_BITS), strict=False))
    return str(found)
