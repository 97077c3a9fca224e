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

    def check(self, address: str | None) -> None:
        """Raise RateLimited when too many logins from here failed."""
        failed = self._failed.get(_place(address))
        if failed is None:
            return
        now = self._monotonic()
        while failed and failed[0] <= now - MINUTE:
            failed.popleft()
        if len(failed) >= MOST_A_MINUTE:
            wait = failed[0] + MINUTE - now
            raise RateLimited(
                f"Expected at most {MOST_A_MINUTE} failed logins a minute from one address, got "
                f"one more. Try again in {max(wait, 1):.0f} s.",
                retry_after=wait,
            )

    def failed(self, address: str | None) -> None:
        """One more login from here failed."""
        place = _place(address)
        if place not in self._failed and len(self._failed) >= MOST_ADDRESSES:
            now = self._monotonic()
            self._failed = {p: f for p, f in self._failed.items() if f[-1] > now - MINUTE}
            if len(self._failed) >= MOST_ADDRESSES:
                self._failed.clear()
        self._failed.setdefault(place, deque(maxlen=MOST_A_MINUTE)).append(self._monotonic())


def _place(address: str | None) -> str:
    try:
        found = ipaddress.ip_address(address or "")
    except ValueError:
        return address or ""
    if isinstance(found, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((found, NETWORK_BITS), strict=False))
    return str(found)
