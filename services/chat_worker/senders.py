"""Redis, from threads of its own: a frozen server delays a hint, never a claim or a call.

Bells pass on rings, the listener hears of cancelled jobs and of who follows which, and observations
tell discovery what a chat proved about a provider.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import redis
from celery import Celery

from shared import live
from shared.domain import DiscoveryStatus
from shared.queues import TASK_OBSERVE, Doorbell

REST_AFTER_ERROR: Final = 0.5  # seconds
LISTEN_SECONDS: Final = 1.0
REPEAT_AFTER: Final = 30.0  # discovery may have found otherwise since, or lost the hint
NEWS_AFTER: Final = 1.0  # a provider that answers now so, now so, is not told of more often

logger = logging.getLogger(__name__)


class Outbox:
    """Sends one kind of hint at a time from its own thread; the newest request wins."""

    def __init__(
        self,
        celery: Celery,
        doorbell: Doorbell,
        *,
        on_answered: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._on_answered = on_answered
        self._clock = clock
        self._celery = celery
        self._doorbell = doorbell
        self._change = threading.Condition()
        self._answered = False
        self._hops: int | None = None
        self._observed: dict[str, tuple[int, str]] = {}  # provider → (revision, verdict), unsent
        self._told: dict[str, tuple[int, str, float]] = {}  # … and when, by the monotonic clock
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="outbox", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def answer(self) -> None:
        """Let the bell ring again soon, then call `on_answered`."""
        with self._change:
            self._answered = True
            self._change.notify()

    def ring(self, *, hops: int = 0) -> None:
        """Ring for the other workers soon."""
        with self._change:
            self._hops = hops
            self._change.notify()

    def observe(self, provider_id: str, revision: int, verdict: DiscoveryStatus) -> None:
        """Tell discovery soon, unless this process told it the same a moment ago."""
        now = self._clock()
        with self._change:
            told = self._told.get(provider_id)
            if told is not None:
                same = told[:2] == (revision, verdict.value)
                if now - told[2] < (REPEAT_AFTER if same else NEWS_AFTER):
                    return
            if len(self._told) > 10_000:
                self._told.clear()
            self._told[provider_id] = (revision, verdict.value, now)
            self._observed[provider_id] = (revision, verdict.value)
            self._change.notify()

    def stumbled(self, provider_id: str) -> None:
        """A call failed: the next that succeeds is news, whatever was told before."""
        with self._change:
            if (told := self._told.get(provider_id)) is not None:
                self._told[provider_id] = (told[0], "", told[2])

    def stop(self) -> None:
        """End the thread; what waits is dropped."""
        with self._change:
            self._stopping = True
            self._change.notify()
        self._thread.join(timeout=2)

    def _run(self) -> None:
        while True:
            with self._change:
                self._change.wait_for(self._pending)
                if self._stopping:
                    return
                answered, self._answered = self._answered, False
                hops, self._hops = self._hops, None
                observed, self._observed = self._observed, {}
            try:
                if answered:  # before the next ring, which would find it still set
                    self._doorbell.answered()
                    self._on_answered()
                if hops is not None:
                    self._doorbell.ring(hops=hops)
                for provider_id, (revision, verdict) in observed.items():
                    self._celery.send_task(
                        TASK_OBSERVE,
                        kwargs={
                            "provider_id": provider_id,
                            "revision": revision,
                            "verdict": verdict,
                        },
                        retry=False,
                        ignore_result=True,
                    )
            except Exception as fault:  # kombu lets the transport's own errors through
                logger.warning("a hint was not sent", extra={"reason": str(fault)})
                with self._change:
                    self._change.wait_for(lambda: self._stopping, REST_AFTER_ERROR)

    def _pending(self) -> bool:
        return self._stopping or self._answered or self._hops is not None or bool(self._observed)


class Listener:
    """Hears that running jobs were cancelled, and which jobs the readers of chunks follow."""

    def __init__(
        self,
        client: redis.Redis,
        *,
        on_cancelled: Callable[[], None],
        on_follows: Callable[[bytes], None],
    ) -> None:
        self._redis = client
        self._on_cancelled = on_cancelled
        self._on_follows = on_follows
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="listener", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stopping.set()
        self._thread.join(timeout=LISTEN_SECONDS + 1)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                subscription = self._redis.pubsub()  # type: ignore[no-untyped-call]
                with subscription:
                    subscription.subscribe(live.CANCELLED, live.FOLLOWS)
                    while not self._stopping.is_set():
                        if message := subscription.get_message(timeout=LISTEN_SECONDS):
                            self._hear(message)
            except redis.RedisError as fault:
                logger.debug("cancellations are read instead", extra={"reason": str(fault)})
                self._stopping.wait(REST_AFTER_ERROR)

    def _hear(self, message: Mapping[str, Any]) -> None:
        if message["channel"] == live.CANCELLED.encode():
            if message["type"] == "message":
                self._on_cancelled()
        elif message["type"] == "message":
            self._on_follows(message["data"])
        else:  # subscribed: what was said before was not heard
            self._redis.publish(live.WHO_FOLLOWS, "")
