"""Live followers of the events: one reader a process, however many follow.

While anybody follows, the reader looks once a second for new events, and at once after one of this
process. It keeps the newest in memory; a follower who is further behind reads the database.
"""

from __future__ import annotations

import logging
import time
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Final

import gevent
import sqlalchemy as sa
from gevent.event import Event as Signal

from services.registry import clients
from services.registry.clients import Client
from services.registry.database import Transactions
from shared.errors import RateLimited, StoreUnavailable
from shared.store import events
from shared.store.events import Event

LOOK_SECONDS: Final = 1.0
PING_SECONDS: Final = 15.0
STALL_SECONDS: Final = 30.0  # a client that takes no byte for so long is cut off
MOST: Final = 200  # followers of one process
BATCH: Final = 50  # events read or sent at once
KEPT: Final = 500  # newest events in memory

Wanted = Callable[[Event], bool]

logger = logging.getLogger(__name__)


@dataclass(eq=False, slots=True)
class _Follower:
    client: Client
    ended: bool
    news: Signal = field(default_factory=Signal)
    sending_since: float | None = None


class Followers:
    """All followers of one process; `monotonic` is in seconds."""

    def __init__(
        self, transactions: Transactions, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._transactions = transactions
        self._monotonic = monotonic
        self._followers: set[_Follower] = set()
        self._released = False
        self._news = Signal()
        self._reader: gevent.Greenlet | None = None
        self._tended_at = 0.0
        # Every event behind `_since` up to `_newest` is in `_tail`; None before the first look.
        self._tail: list[Event] = []
        self._since = 0
        self._newest: int | None = None

    def look_now(self) -> None:
        """An event of this process is durable."""
        self._news.set()

    def release(self) -> None:
        """End all following, and let none begin: this process stops."""
        self._released = True
        for follower in self._followers:
            _end(follower)

    def check_room(self) -> None:
        """Raise RateLimited when as many follow as may."""
        if len(self._followers) >= MOST:
            raise RateLimited(
                f"Expected at most {MOST} followers of events, got one more. Close those that are "
                "not needed, or read pages without a stream.",
                retry_after=PING_SECONDS,
            )

    def follow(self, seq: int, wanted: Wanted, client: Client = None) -> Iterator[Sequence[Event]]:
        """Batches of wanted events behind `seq`, as they come; an empty one after 15 s of silence.

        Ends when the client hangs up or takes nothing any more, when this process stops, and when
        the database was replaced by an older one. Begins with what is there already.
        """
        with self._joined(client) as follower:
            while not follower.ended:
                until = self._monotonic() + PING_SECONDS
                seq, batch = self._next(follower, seq, wanted, until)
                if not follower.ended:
                    follower.sending_since = self._monotonic()
                    yield batch
                    follower.sending_since = None

    def wait(self, seq: int, wanted: Wanted, seconds: float, client: Client = None) -> None:
        """Return when there is a wanted event behind `seq`, or after `seconds`."""
        with self._joined(client) as follower:
            self._next(follower, seq, wanted, self._monotonic() + seconds)

    @contextmanager
    def _joined(self, client: Client) -> Iterator[_Follower]:
        follower = _Follower(client, ended=self._released)
        self._followers.add(follower)
        if not self._reader:  # none yet, or one that has ended
            self._reader = gevent.spawn(self._read)
        try:
            yield follower
        finally:
            self._followers.discard(follower)

    def _next(
        self, follower: _Follower, seq: int, wanted: Wanted, until: float
    ) -> tuple[int, Sequence[Event]]:
        """The next wanted events, and the number up to which all were looked at."""
        while not follower.ended:
            follower.news.clear()  # before reading: what comes meanwhile is waited for no more
            batch = self._behind(seq)
            if batch:
                seq = batch[-1].seq
                if chosen := [event for event in batch if wanted(event)]:
                    return seq, chosen
                continue
            left = until - self._monotonic()
            if left <= 0:
                break
            follower.news.wait(left)
        return seq, ()

    def _behind(self, seq: int) -> Sequence[Event]:
        if self._newest is not None and seq >= self._since:
            first = bisect_right(self._tail, seq, key=attrgetter("seq"))
            return self._tail[first : first + BATCH]
        try:
            return self._transactions.read(lambda tx: events.after(tx, seq, limit=BATCH))
        except StoreUnavailable:
            return ()  # logged already; asked again with the next news, or after a ping

    def _read(self) -> None:
        while self._followers:
            try:
                self._turn()
            except StoreUnavailable:
                logger.debug("followers are told nothing: the database is away")
            except Exception:
                logger.exception("reading events for followers failed")
            if self._monotonic() - self._tended_at >= LOOK_SECONDS:
                self._tended_at = self._monotonic()
                self._tend()
            self._news.wait(LOOK_SECONDS)
            self._news.clear()
        self._tail, self._newest = [], None

    def _turn(self) -> None:
        newest = self._newest

        def look(tx: sa.Connection) -> tuple[int, Sequence[Event]]:
            last = events.last_seq(tx)
            if newest is None or last <= newest:
                return last, ()
            return last, events.feed(tx, newest, upto=last, limit=BATCH)

        last, fresh = self._transactions.read(look)
        if newest is None:
            self._since = self._newest = last
        elif last < newest:
            logger.warning(
                "the database is an older one; its followers have to begin again",
                extra={"newest": last, "followed": newest},
            )
            self._tail, self._newest = [], None
            for follower in self._followers:
                _end(follower)
            return
        elif not fresh:
            return
        else:
            self._keep(fresh)
            if fresh[-1].seq < last:
                self._news.set()
        for follower in self._followers:
            follower.news.set()

    def _keep(self, fresh: Sequence[Event]) -> None:
        self._tail += fresh
        self._newest = fresh[-1].seq
        if len(self._tail) > KEPT:
            self._since = self._tail[-KEPT - 1].seq
            del self._tail[:-KEPT]

    def _tend(self) -> None:
        """Let go of clients that have hung up, and cut off those that take nothing any more."""
        for follower in tuple(self._followers):
            if follower.sending_since is None:
                if clients.hung_up(follower.client):
                    _end(follower)
            elif self._monotonic() - follower.sending_since > STALL_SECONDS:
                clients.cut(follower.client)


def _end(follower: _Follower) -> None:
    follower.ended = True
    follower.news.set()
