"""Addresses of hosts, looked up once for all who wait, and known for a while."""

from __future__ import annotations

import asyncio
import time
from typing import Final

from shared.upstream.guard import Addresses, GuardedResolver, literal_address

_DNS_CACHE_SECONDS: Final = 30
_MOST_NAMES: Final = 1024

_Where = tuple[str, int]


class KeptNames:
    """The resolver's answers, good ones for 30 s. What it refuses, it refuses each who asks."""

    def __init__(self, resolver: GuardedResolver) -> None:
        self._resolver = resolver
        self._known: dict[_Where, tuple[float, Addresses]] = {}
        self._asked: dict[_Where, asyncio.Task[Addresses]] = {}

    async def addresses(self, host: str, port: int) -> Addresses:
        """Every address of this host, to be judged once more when dialled.

        Raises ForbiddenAddress, or OSError when there are none.
        """
        if (literal := literal_address(host, port)) is not None:
            return [literal]
        where = (host, port)
        until, known = self._known.get(where, (0.0, []))
        if time.monotonic() < until:
            return known
        asked = self._asked.get(where)
        if asked is None:
            asked = self._asked[where] = asyncio.create_task(self._ask(where))
            asked.add_done_callback(lambda done: self._answered(where, done))
        # The one who gives up must not take the answer away from the others.
        return await asyncio.shield(asked)

    async def aclose(self) -> None:
        """Give up what is being looked up."""
        asked = list(self._asked.values())
        for task in asked:
            task.cancel()
        await asyncio.gather(*asked, return_exceptions=True)

    async def _ask(self, where: _Where) -> Addresses:
        found = await self._resolver.resolve(*where)
        if len(self._known) >= _MOST_NAMES:
            del self._known[next(iter(self._known))]
        self._known[where] = (time.monotonic() + _DNS_CACHE_SECONDS, found)
        return found

    def _answered(self, where: _Where, done: asyncio.Task[Addresses]) -> None:
        del self._asked[where]
        if not done.cancelled():
            done.exception()  # seen, also where all who asked gave up
