"""Sends notices of what this process changed (`shared.live.notices`)."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Iterable

import redis

from shared.live import Away, notice_of

logger = logging.getLogger(__name__)


class NoticeSender:
    """Publishes notices from its own thread, so that a frozen Redis stops nobody's work."""

    def __init__(self, client: redis.Redis) -> None:
        self._redis = client
        self._away = Away(
            logger,
            lost="notices are lost; waiters fall back to reading",
            back="notices go out again",
        )
        self._waiting: queue.Queue[tuple[str, str] | None] = queue.Queue(maxsize=100_000)
        self._thread = threading.Thread(target=self._run, name="notices", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def send(self, channel: str, job_ids: Iterable[str]) -> None:
        """Publish soon; dropped when Redis has been away for very long."""
        for job_id in job_ids:
            try:
                self._waiting.put_nowait((channel, job_id))
            except queue.Full:
                logger.warning("notices are dropped: Redis has been away for too long")
                return

    def stop(self) -> None:
        """Send what waits, then end."""
        self._waiting.put(None)
        self._thread.join(timeout=2)

    def _run(self) -> None:
        while (first := self._waiting.get()) is not None:
            batch = [first]
            while not self._waiting.empty() and len(batch) < 500:
                item = self._waiting.get()
                if item is None:
                    self._publish(batch)
                    return
                batch.append(item)
            self._publish(batch)

    def _publish(self, batch: list[tuple[str, str]]) -> None:
        by_channel: dict[str, list[str]] = {}
        for channel, job_id in batch:
            by_channel.setdefault(channel, []).append(job_id)
        try:
            for channel, job_ids in by_channel.items():
                self._redis.publish(channel, notice_of(job_ids))
        except redis.RedisError as fault:
            self._away.failed(fault)
        else:
            self._away.worked()
