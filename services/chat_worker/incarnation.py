"""The worker's own row: entered at boot, renewed while it lives, taken off when it stops.

A worker that was declared dead meanwhile (a long pause, a database away) enters as a new one; what
it claimed before stays fenced by the old id.
"""

from __future__ import annotations

import logging
import os
import socket
import time
from enum import Enum, auto
from typing import Final

import sqlalchemy as sa

from shared import ids
from shared.store import jobs, leases
from shared.store.database import Database

logger = logging.getLogger(__name__)


class Kept(Enum):
    """What keeping the lease found."""

    ALIVE = auto()
    REBORN = auto()


class Incarnation:
    """The lease of one life of this worker; used by the keeper's thread only."""

    REBORN: Final = Kept.REBORN

    def __init__(self, database: Database, lease_seconds: float) -> None:
        self._database = database
        self._seconds = lease_seconds
        self._worker_id: str | None = None
        self._renewed_at = time.monotonic()
        self._fallen = False  # declared dead; the next `keep` enters anew

    @property
    def worker_id(self) -> str:
        """The id that claims of this life are fenced with; raises RuntimeError before `keep`."""
        if self._worker_id is None:
            raise RuntimeError("the worker has not entered yet")
        return self._worker_id

    def keep(self) -> Kept:
        """Enter when needed, renew when a third of the lease is over."""
        if self._worker_id is not None and not self._fallen:
            begun = time.monotonic()
            if begun - self._renewed_at >= self._seconds / 3:
                with self._database.write() as tx:
                    self.renew(tx)
        if self._worker_id is not None and not self._fallen:
            return Kept.ALIVE
        reborn = self._worker_id is not None
        self._enter()
        return Kept.REBORN if reborn else Kept.ALIVE

    def renew(self, tx: sa.Connection) -> bool:
        """Renew inside the caller's transaction; False when this life is over.

        It locks this worker's row, so that nobody declares it dead before the commit.
        """
        begun = time.monotonic()
        if not self._fallen and not leases.renew(tx, self.worker_id, seconds=self._seconds):
            self._fallen = True
            logger.warning("declared dead while away; going on as a new worker")
        if not self._fallen:
            self._renewed_at = begun
        return not self._fallen

    def lease_is_over(self) -> bool:
        """Whether others may act on this worker's jobs by now."""
        return time.monotonic() - self._renewed_at > self._seconds

    def leave(self, *, duty: str) -> None:
        """Take the worker off the list and give its duty up.

        What its rows still hold was claimed without its knowledge (a commit whose answer was
        lost) and goes back to the queue.
        """
        if self._worker_id is not None:
            with self._database.write() as tx:
                if released := jobs.release_held(tx, self._worker_id):
                    logger.warning("released unknown claims", extra={"jobs": list(released)})
                leases.resign(tx, duty, holder=self._worker_id)
                leases.withdraw(tx, self._worker_id)

    def _enter(self) -> None:
        worker_id = ids.new(ids.WORKER)
        begun = time.monotonic()
        with self._database.write() as tx:
            leases.register(
                tx, worker_id, host=socket.gethostname(), pid=os.getpid(), seconds=self._seconds
            )
        self._worker_id, self._renewed_at, self._fallen = worker_id, begun, False
        logger.info("entered", extra={"worker": worker_id})
