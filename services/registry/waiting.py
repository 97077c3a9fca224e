"""Requests that wait for the end of a job.

Notices tell which jobs ended (`hearing`); a read of all waited-for rows each second covers those
that were lost, so that Redis only shortens the wait. The same second looks whether the clients of
foreground calls are still there, and ends the calls that no worker ended in time.
"""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final, Protocol

import gevent
import sqlalchemy as sa
from gevent.event import Event

from services.registry import clients
from services.registry.database import Transactions
from shared import live
from shared.domain import JobState
from shared.errors import StoreUnavailable
from shared.store import jobs
from shared.store.jobs import Retention

LOOK_SECONDS: Final = 1.0
WORKERS_MARGIN: Final = 2.0  # seconds after the deadline in which a worker may still end the job

logger = logging.getLogger(__name__)


class Notices(Protocol):
    """What tells other processes (`notices.NoticeSender`)."""

    def send(self, channel: str, job_ids: Iterable[str]) -> None:
        """Publish soon."""


@dataclass(eq=False, slots=True)
class Wait:
    """One request that waits for one job.

    A `foreground` one is a call's that answers with the end, whoever submitted the job; others only
    watch. `client` is the socket of a call whose job ends with it, `deadline` (Unix seconds) its
    job's. A wait has `begun` when the job's row is there. With `known` any other version of the row
    ends it.
    """

    job_id: str
    client: socket.socket | None = None
    foreground: bool = False
    deadline: float | None = None
    begun: bool = False
    known: int | None = None
    ended: Event = field(default_factory=Event)


class Waiting:
    """All waits of one process."""

    def __init__(
        self,
        transactions: Transactions,
        notices: Notices,
        retention: Retention,
        *,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._transactions = transactions
        self._notices = notices
        self._retention = retention
        self._now = now
        self._waits: dict[str, set[Wait]] = {}
        self._given_up: set[str] = set()

    def start(self) -> None:
        """Start the greenlet."""
        gevent.spawn(self._look_on)

    @contextmanager
    def held(
        self, job_id: str, client: socket.socket | None = None, *, foreground: bool = False
    ) -> Iterator[Wait]:
        """A wait for this job; enter before the job can end, so that no notice is missed."""
        wait = Wait(job_id, client, foreground)
        self._waits.setdefault(job_id, set()).add(wait)
        try:
            yield wait
        finally:
            same = self._waits[job_id]
            same.discard(wait)
            if not same:
                del self._waits[job_id]

    def count(self) -> int:
        """How many requests wait."""
        return sum(map(len, self._waits.values()))

    def wake(self, job_ids: Iterable[str]) -> None:
        """These jobs have ended, or so a notice says."""
        for job_id in job_ids:
            for wait in self._waits.get(job_id, ()):
                wait.ended.set()

    def _look_on(self) -> None:
        while True:
            gevent.sleep(LOOK_SECONDS)
            try:
                self.look()
            except StoreUnavailable:
                continue  # logged already; a request whose time is over asks the database itself
            except Exception:
                logger.exception("looking after waiting requests failed")

    def look(self) -> None:
        """One look at all waits; raises StoreUnavailable."""
        waits = [wait for same in self._waits.values() for wait in same]
        if not (waits or self._given_up):
            return
        given_up = frozenset(self._given_up)
        gone = [wait.job_id for wait in waits if clients.hung_up(wait.client)]
        self.cancel([*gone, *given_up])
        self._given_up -= given_up
        if not waits:
            return
        late = self._now() - WORKERS_MARGIN
        self._expire([w.job_id for w in waits if w.deadline is not None and w.deadline < late])
        asked = {wait.job_id for wait in waits}
        # Before the rows are read: one that is committed meanwhile is not there, nor is it gone.
        begun = {wait for wait in waits if wait.begun}
        found = self._transactions.read(lambda tx: jobs.states(tx, asked))
        for wait in waits:
            if _is_over(wait, found.get(wait.job_id), begun=wait in begun):
                wait.ended.set()

    def release_watchers(self) -> None:
        """End the waits that only watch: nothing is lost, and their clients may ask again."""
        for same in self._waits.values():
            for wait in same:
                if not wait.foreground:
                    wait.ended.set()

    def release(self) -> None:
        """Cancel the jobs of the foreground calls that still wait, because this process stops.

        Their clients lose the connection and may repeat the call; nobody should pay twice.
        """
        waits = [wait for same in self._waits.values() for wait in same]
        self.cancel([wait.job_id for wait in waits if wait.client is not None])

    def give_up(self, job_id: str) -> None:
        """Cancel this job, whose caller is gone: at a later look where the database is away."""
        try:
            self.cancel([job_id])
        except StoreUnavailable:
            self._given_up.add(job_id)

    def cancel(self, job_ids: Sequence[str]) -> None:
        """Cancel these jobs, whose callers are gone; raises StoreUnavailable."""
        if not job_ids:
            return
        now, retention = self._now(), self._retention

        def cancel(tx: sa.Connection) -> list[str]:
            return [i for i in job_ids if jobs.cancel(tx, i, now=now, retention=retention)]

        self.tell(self._transactions.write(cancel))

    def _expire(self, job_ids: Sequence[str]) -> None:
        if not job_ids:
            return
        now, retention = self._now(), self._retention

        def expire(tx: sa.Connection) -> Sequence[str]:
            return jobs.expire_foreground(tx, job_ids, now=now, retention=retention)

        self.tell(self._transactions.write(expire))

    def tell(self, job_ids: Sequence[str]) -> None:
        """Wake who waits for these jobs, which we ended, and tell the workers that run them."""
        self._notices.send(live.CANCELLED, job_ids)
        self._notices.send(live.ENDED, job_ids)
        self.wake(job_ids)


def _is_over(wait: Wait, found: tuple[JobState, int] | None, *, begun: bool) -> bool:
    """Whether this row ends the wait; None: it is not there yet, or (when `begun`) was deleted."""
    if found is None:
        return begun
    return found[0].terminal or (wait.known is not None and found[1] != wait.known)
