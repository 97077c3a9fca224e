"""Hints to the workers after a commit: sent by one greenlet, never in a request.

In the path of a request a frozen Redis made submits hang for 20 s; from here it costs them
nothing. A hint that fails is not repeated: the workers look by themselves every second.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final, Protocol

import gevent
from gevent.event import Event

from shared.queues import TASK_CHECK, TASK_REFRESH

REST_SECONDS: Final = 0.5
# Between two rounds: what is hinted meanwhile shares the next. A refresh costs as much as a submit.
PAUSE_SECONDS: Final = 0.003
MOST_UNSENT: Final = 1_000  # hints that wait while Redis is away; beyond it the oldest go

logger = logging.getLogger(__name__)


class Rings(Protocol):
    """What a doorbell does (`shared.queues.Doorbell`)."""

    def ring(self) -> None:
        """Send one ring; raises when Redis is away."""


class Sends(Protocol):
    """What sends one task (`Celery.send_task` without retries)."""

    def __call__(self, task: str, *, kwargs: Mapping[str, str]) -> object:
        """Send; raises when Redis is away."""


class Bell:
    """Any number of equal hints become one, as long as it was not sent."""

    def __init__(
        self,
        doorbell: Rings,
        send: Sends,
        *,
        rest: float = REST_SECONDS,
        pause: float = PAUSE_SECONDS,
    ) -> None:
        self._doorbell = doorbell
        self._send = send
        self._rest = rest
        self._pause = pause
        self._unsent: dict[tuple[str, ...], Callable[[], object]] = {}
        self._asked = Event()

    def start(self) -> None:
        """Start the greenlet, and ring once: the first task that Celery sends costs 100 ms."""
        gevent.spawn(self._run)
        self.ring()

    def ring(self) -> None:
        """Tell the chat workers soon that a job is queued; returns at once, as all hints do."""
        self._hint(("ring",), self._doorbell.ring)

    def refresh(self, provider_id: str) -> None:
        """Tell the discovery workers soon that a refresh of this provider was asked for."""
        task = partial(self._send, TASK_REFRESH, kwargs={"provider_id": provider_id})
        self._hint((TASK_REFRESH, provider_id), task)

    def check(self, check_id: str) -> None:
        """Tell the discovery workers soon that this check waits for one of them."""
        task = partial(self._send, TASK_CHECK, kwargs={"check_id": check_id})
        self._hint((TASK_CHECK, check_id), task)

    def _hint(self, name: tuple[str, ...], send: Callable[[], object]) -> None:
        self._unsent.setdefault(name, send)
        if len(self._unsent) > MOST_UNSENT:
            del self._unsent[next(iter(self._unsent))]
        self._asked.set()

    def _run(self) -> None:
        failing = False
        while True:
            self._asked.wait()
            self._asked.clear()
            while self._unsent:
                send = self._unsent.pop(next(iter(self._unsent)))
                try:
                    send()
                except Exception as fault:  # kombu lets errors of its transports through
                    if not failing:
                        logger.warning("nobody can be rung", extra={"reason": str(fault)})
                    failing = True
                    gevent.sleep(self._rest)
                else:
                    failing = False
            gevent.sleep(self._pause)
