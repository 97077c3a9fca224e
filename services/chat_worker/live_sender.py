"""Chunks on their way to their readers, by a task on the engine's loop.

What all streams have for one reader is one message. The pause after it grows with the number of its
entries, each of which wakes somebody: alone, a chunk is delivered at once; with hundreds of streams
the messages are few and full. (A thread of its own had to win the interpreter's lock from the loop
for each message, 5 to 20 ms under load.)
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Collection
from typing import Final

import redis.asyncio
from redis.exceptions import RedisError

from services.chat_worker.live_queue import Batch, LiveQueue, LiveStream
from shared import live
from shared.crypto import Sealer

LONGEST_PAUSE: Final = 0.025  # seconds between two messages
PAUSE_PER_ENTRY: Final = 0.0005  # seconds; about twice what one costs its reader's process
REST_AFTER_ERROR: Final = 0.5  # seconds
LAST_SECONDS: Final = 1.0  # for what waits when the loop ends

logger = logging.getLogger(__name__)


class LiveSender:
    """Sends what readers follow. What Redis does not take now is sent when it does."""

    def __init__(self, client: redis.asyncio.Redis, sealer: Sealer) -> None:
        self._redis = client
        self._sealer = sealer
        self._queue = LiveQueue()
        self._away = live.Away(
            logger,
            lost="chunks wait for Redis; calls go on, readers follow later",
            back="chunks go out again",
        )
        self._task: asyncio.Task[None] | None = None
        self._pause: asyncio.Future[None] | None = None

    def hurry(self, job_ids: Collection[str]) -> None:
        """Send what waits now, if some of it is of these jobs, whose end is about to be told."""
        if self._pause is not None and self._queue.waits(job_ids):
            self._end_pause()

    def open(self) -> None:
        """Start the task; on the loop."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def aclose(self) -> None:
        """Send what waits, unless Redis is away, and end the task."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LAST_SECONDS):
                while self._queue.due.is_set() and await self._sent(self._queue.take()):
                    pass
        await self._redis.aclose()

    def stream(self, job_id: str) -> LiveStream:
        """The stream of a claim of this job."""
        return self._queue.stream(job_id)

    def follow(self, message: bytes) -> None:
        """Note what a reader told all workers (`shared.live.follows`)."""
        try:
            self._queue.follow(live.follows_of(message))
        except ValueError as fault:
            logger.warning("what a reader follows is not understood", extra={"reason": str(fault)})

    async def _run(self) -> None:
        while True:
            await self._queue.due.wait()
            batch = self._queue.take()
            try:
                sent = await self._sent(batch)
            except asyncio.CancelledError:
                self._queue.put_back(batch)
                raise
            if sent:
                count = sum(map(len, batch.entries.values()))
                await self._rest(min(LONGEST_PAUSE, PAUSE_PER_ENTRY * count))
            else:
                self._queue.put_back(batch)
                await asyncio.sleep(REST_AFTER_ERROR)

    async def _rest(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        self._pause = loop.create_future()
        timer = loop.call_later(seconds, self._end_pause)
        try:
            await self._pause
        finally:
            timer.cancel()
            self._pause = None

    def _end_pause(self) -> None:
        if self._pause is not None and not self._pause.done():
            self._pause.set_result(None)

    async def _sent(self, batch: Batch) -> bool:
        """Whether this is over and done with: Redis took it, or it met a defect of ours."""
        try:
            return await self._send(batch)
        except Exception:  # it must end neither the delivery of what follows nor a stop
            logger.exception("live chunks are lost; readers ask again, or wait for the end")
            return True

    async def _send(self, batch: Batch) -> bool:
        """Send one batch; whether Redis took it."""
        if not batch.entries:
            return True
        pipeline = self._redis.pipeline(transaction=False)
        for reader, entries in batch.entries.items():
            message = live.seal_entries(self._sealer, reader, entries)
            pipeline.publish(live.channel_of(reader), message)
        try:
            heard = await pipeline.execute()
        except RedisError as fault:
            self._away.failed(fault)
            return False
        self._away.worked()
        for reader, listeners in zip(batch.entries, heard, strict=True):
            if not listeners:  # it ended, or will say where it is when it listens again
                self._queue.gone(reader)
        return True
