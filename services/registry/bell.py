"""Ringing for the chat workers after a commit: one greenlet, never in a request.

In the path of a request a frozen Redis made submits hang for 20 s; from here it costs them
nothing. A ring that fails is not repeated: the workers look by themselves every second.
"""

from __future__ import annotations

import logging
from typing import Final, Protocol

import gevent
from gevent.event import Event

REST_SECONDS: Final = 0.5

logger = logging.getLogger(__name__)


class Rings(Protocol):
    """What a doorbell does (`shared.queues.Doorbell`)."""

    def ring(self) -> None:
        """Send one ring; raises when Redis is away."""


class Bell:
    """Any number of `ring` calls become few rings of the doorbell."""

    def __init__(self, doorbell: Rings, *, rest: float = REST_SECONDS) -> None:
        self._doorbell = doorbell
        self._rest = rest
        self._asked = Event()

    def start(self) -> None:
        """Start the greenlet, and ring once: the first task that Celery sends costs 100 ms."""
        gevent.spawn(self._run)
        self.ring()

    def ring(self) -> None:
        """Ring soon; returns at once."""
        self._asked.set()

    def _run(self) -> None:
        failing = False
        while True:
            self._asked.wait()
            self._asked.clear()
            try:
                self._doorbell.ring()
            except Exception as fault:  # kombu lets errors of its transports through
                if not failing:
                    logger.warning("nobody can be rung", extra={"reason": repr(fault)})
                failing = True
                gevent.sleep(self._rest)
            else:
                failing = False
