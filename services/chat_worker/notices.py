"""Tells waiting requests which jobs ended, by a task on the engine's loop.

A thread of its own had to win the interpreter's lock from the loop for each notice: plain calls
take 7 % less CPU without it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterable
from typing import Final

import redis.asyncio
from redis.exceptions import RedisError

from shared import live

LAST_SECONDS: Final = 1.0  # for what is under way when the loop ends

logger = logging.getLogger(__name__)


class Notices:
    """Publishes notices; those that come while one is under way are the next. Used on the loop."""

    def __init__(self, client: redis.asyncio.Redis) -> None:
        self._redis = client
        self._away = live.Away(
            logger,
            lost="notices are lost; waiters fall back to reading",
            back="notices go out again",
        )
        self._ended: list[str] = []
        self._task: asyncio.Task[None] | None = None

    def ended(self, job_ids: Iterable[str]) -> None:
        """Tell soon that these jobs are terminal; lost when Redis is away."""
        self._ended.extend(job_ids)
        if self._ended and self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def aclose(self) -> None:
        """Send what waits, unless Redis is away."""
        if self._task is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LAST_SECONDS):
                    await self._task
        await self._redis.aclose()

    async def _run(self) -> None:
        try:
            while self._ended:
                job_ids, self._ended = self._ended, []
                await self._publish(live.notice_of(job_ids))
        finally:
            self._task = None

    async def _publish(self, notice: str) -> None:
        try:
            await self._redis.publish(live.ENDED, notice)
        except RedisError as fault:
            self._away.failed(fault)
        else:
            self._away.worked()
