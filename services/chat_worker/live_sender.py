"""Chunks on their way to Redis, from a thread of its own: no call ever waits for it.

One pipeline is under way at a time, and what a job's chunks pile up meanwhile becomes one entry.
The pause after a pipeline follows from how long it took: alone, a chunk is delivered at once; with
hundreds of streams the pipelines are few and full. (A thread costs 0.25 ms of CPU a pipeline,
redis-py's asyncio client 0.5 ms; full pipelines cost both about 16 µs a chunk.)
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import redis
from redis.exceptions import OutOfMemoryError, ReadOnlyError

from services.chat_worker.live_queue import LiveQueue, LiveStream, Parcel
from shared import live
from shared.crypto import Sealer

LONGEST_PAUSE: Final = 0.025  # seconds between two pipelines
PAUSE_FACTOR: Final = 4.0  # the pause in durations of the pipeline before it
REST_AFTER_ERROR: Final = 0.5  # seconds
RENEW_AFTER: Final = 60.0  # seconds until a running stream's life is set anew
_NOT_NOW: Final = (OutOfMemoryError, ReadOnlyError)  # until somebody acts; other refusals stay

logger = logging.getLogger(__name__)


class LiveSender:
    """Sends what waits in its queue. What Redis does not take now is sent when it does."""

    def __init__(
        self,
        client: redis.Redis,
        sealer: Sealer,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._redis = client
        self._sealer = sealer
        self._monotonic = monotonic
        self._queue = LiveQueue()
        self._away = False
        self._thread = threading.Thread(target=self._run, name="live", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Send what waits, unless Redis is away, and end the thread."""
        self._queue.close()
        self._thread.join(timeout=3)

    def stream(self, job_id: str, *, silence: float) -> LiveStream:
        """The stream of this job; `silence` is the longest gap between two chunks, in seconds."""
        return self._queue.stream(job_id, silence=silence)

    def _run(self) -> None:
        while parcels := self._queue.take():
            began = self._monotonic()
            try:
                refused = self._send(parcels)
            except Exception:  # a defect of ours must not end the delivery of all others
                logger.exception("live streams are given up")
                for parcel in parcels:
                    self._queue.give_up(parcel.stream)
                refused = ()
            if not refused:
                took = self._monotonic() - began
                self._queue.pause(min(LONGEST_PAUSE, PAUSE_FACTOR * took))
                continue
            self._queue.put_back(refused)
            if self._queue.pause(REST_AFTER_ERROR):
                return

    def _send(self, parcels: Sequence[Parcel]) -> Sequence[Parcel]:
        """Send one pipeline; returns what Redis does not take now."""
        pipeline = self._redis.pipeline(transaction=False)
        added: list[tuple[int, Parcel]] = []  # with the place of its answer
        for parcel in parcels:
            if parcel.entry.chunks:
                added.append((len(pipeline), parcel))
                job_id, entry = parcel.stream.job_id, parcel.entry
                fields: Any = live.seal_entry(self._sealer, job_id, entry)
                pipeline.xadd(live.stream_key(job_id), fields, id=live.entry_id(entry))
            self._renew(pipeline, parcel.stream)
        try:
            answers = pipeline.execute(raise_on_error=False)
        except redis.RedisError as fault:
            self._note_away(fault)
            for parcel in parcels:
                parcel.stream.in_doubt, parcel.stream.renew_at = True, -math.inf
            return parcels
        refused = [
            parcel for place, parcel in added if not self._is_settled(parcel, answers[place])
        ]
        if not refused:
            self._note_back()
        return refused

    def _renew(self, pipeline: Any, stream: LiveStream) -> None:
        now = self._monotonic()
        if stream.ended:
            pipeline.expire(live.stream_key(stream.job_id), live.KEPT_SECONDS)
        elif now >= stream.renew_at:
            # It must outlast a silence, and end by itself where this worker dies.
            life = math.ceil(stream.silence + RENEW_AFTER + live.KEPT_SECONDS)
            pipeline.expire(live.stream_key(stream.job_id), life)
            stream.renew_at = now + RENEW_AFTER

    def _is_settled(self, parcel: Parcel, answer: object) -> bool:
        """Whether an entry need not be sent again; gives up the stream of one that cannot be."""
        stream = parcel.stream
        if isinstance(answer, _NOT_NOW):
            self._note_away(answer)
            return False
        if isinstance(answer, redis.ResponseError) and not stream.in_doubt:
            logger.warning(
                "a live stream is given up; its readers wait for the end",
                extra={"job": stream.job_id, "reason": str(answer)},
            )
            self._queue.give_up(stream)
        stream.in_doubt = False  # taken now, or refused because it had been taken before
        return True

    def _note_away(self, fault: redis.RedisError) -> None:
        if not self._away:
            logger.warning(
                "chunks wait for Redis; calls go on, readers follow later",
                extra={"reason": str(fault)},
            )
        self._away = True

    def _note_back(self) -> None:
        if self._away:
            logger.info("chunks go out again")
        self._away = False
