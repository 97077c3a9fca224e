"""One timeout for a whole call, moved from bound to bound as the call proceeds.

Timeouts that restart with every byte, as HTTP clients have them, let headers that drip in keep a
call alive for ever (12.4 s were measured at a bound of 0.5 s).
"""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Final, Self

_SLACK: Final = 0.02  # a bound may end this share of itself early


class Limits:
    """An async context; `phase` names the bound that runs, and so the one that ran out.

    Times are in seconds. Leaving raises TimeoutError when a bound ran out inside.
    """

    def __init__(self, total: float) -> None:
        self._loop = asyncio.get_running_loop()
        self.began = self._loop.time()
        self._end = self.began + total
        self._timeout = asyncio.timeout_at(self._end)
        self._until = self._end
        self.phase = "total"

    @property
    def elapsed(self) -> float:
        """Seconds since the call began."""
        return self._loop.time() - self.began

    @property
    def rest(self) -> float:
        """Seconds left of the whole."""
        return self._end - self._loop.time()

    def allow(self, phase: str, seconds: float) -> None:
        """From now on this bound runs, or what is left of the whole, whichever ends first.

        Once one ran out nothing moves any more.
        """
        if self._timeout.expired():
            return
        when = self._loop.time() + seconds
        if phase == self.phase and when - self._until < seconds * _SLACK:
            return  # a fast stream would otherwise move a timer for each of its chunks
        self._until = when
        self.phase = phase if when < self._end else "total"
        self._timeout.reschedule(min(when, self._end))

    async def __aenter__(self) -> Self:
        await self._timeout.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._timeout.__aexit__(kind, error, trace)
