"""Requests that wait for rows of the discovery workers: a refresh, a check.

One greenlet reads for all of them, and only while anybody waits. Most waits are short, so it reads
ten times a second at first; who waits for long gets the beat of all other looks.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

import gevent
import sqlalchemy as sa
from gevent.event import Event

from services.registry.database import Transactions
from shared.errors import StoreUnavailable

QUICK_SECONDS: Final = 0.1
QUICK_FOR: Final = 5.0
SLOW_SECONDS: Final = 1.0
REMIND_SECONDS: Final = 5.0  # a lost hint costs a wait no more than this

logger = logging.getLogger(__name__)

Row = TypeVar("Row")
Look = Callable[[sa.Connection, Collection[str]], Mapping[str, Row]]


@dataclass(eq=False, slots=True)
class _Wait(Generic[Row]):
    row_id: str
    ends: Callable[[Row | None], bool]
    since: float
    over: Event = field(default_factory=Event)


class Watch(Generic[Row]):
    """All waits of one process for rows of one kind.

    `look` reads the rows with these ids, `remind` repeats the hint about one of them every 5 s.
    """

    def __init__(
        self,
        transactions: Transactions,
        look: Look[Row],
        remind: Callable[[str], None],
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._transactions = transactions
        self._look = look
        self._remind = remind
        self._monotonic = monotonic
        self._waits: set[_Wait[Row]] = set()
        self._reminded: dict[str, float] = {}
        self._arrived = Event()
        self._reader: gevent.Greenlet | None = None
        self._released = False

    def wait(self, row_id: str, ends: Callable[[Row | None], bool], seconds: float) -> None:
        """Return when `ends` holds of the row (None: there is none), or after `seconds`.

        The caller reads the row itself then: what it answers is newer than what ended the wait.
        """
        if self._released or seconds <= 0:
            return
        wait: _Wait[Row] = _Wait(row_id, ends, self._monotonic())
        self._waits.add(wait)
        self._reminded.setdefault(row_id, wait.since)
        self._arrived.set()
        if not self._reader:  # none yet, or one that has ended
            self._reader = gevent.spawn(self._read)
        try:
            wait.over.wait(seconds)
        finally:
            self._waits.discard(wait)

    def release(self) -> None:
        """End all waits, and let none begin: this process stops."""
        self._released = True
        for wait in self._waits:
            wait.over.set()

    def _read(self) -> None:
        while self._waits:
            try:
                self._turn()
            except StoreUnavailable:
                logger.debug("waiting requests are told nothing: the database is away")
            except Exception:
                logger.exception("looking for what requests wait for failed")
            gevent.sleep(QUICK_SECONDS)
            youngest = max((wait.since for wait in self._waits), default=0.0)
            if self._waits and self._monotonic() - youngest > QUICK_FOR:
                self._arrived.clear()
                self._arrived.wait(SLOW_SECONDS - QUICK_SECONDS)
        self._reminded.clear()

    def _turn(self) -> None:
        asked = {wait.row_id for wait in self._waits}
        rows = self._transactions.read(lambda tx: self._look(tx, asked))
        for wait in tuple(self._waits):
            if wait.row_id in asked and wait.ends(rows.get(wait.row_id)):
                wait.over.set()
        now = self._monotonic()
        waited_for = {wait.row_id for wait in self._waits if not wait.over.is_set()}
        self._reminded = {i: at for i, at in self._reminded.items() if i in waited_for}
        for row_id, at in self._reminded.items():
            if now - at >= REMIND_SECONDS:
                self._reminded[row_id] = now
                self._remind(row_id)
