"""Streamed calls whose chunks wait until the database knows that readers may see them."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

import sqlalchemy as sa

from shared.store import jobs
from shared.store.database import UNAVAILABLE, Database
from shared.store.jobs import Fence

logger = logging.getLogger(__name__)


class Unpublished:
    """The claims of such calls: any thread adds, the keeper's thread writes."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._waiting: set[Fence] = set()

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, claim: Fence) -> None:
        """Let this claim wait for its turn."""
        with self._lock:
            self._waiting.add(claim)

    def write(self, *, renew: Callable[[sa.Connection], bool]) -> tuple[set[Fence], set[Fence]]:
        """Note all that wait, the lease first; returns the claims that hold and those that do not.

        Raises what an unavailable database raises; all wait on then.
        """
        with self._lock:
            claims, self._waiting = self._waiting, set()
        try:
            with self._database.write() as tx:
                renew(tx)
                held = jobs.publish(tx, claims)
        except UNAVAILABLE:
            with self._lock:
                self._waiting |= claims
            raise
        except Exception:  # it must not hold up what else the keeper does
            logger.exception("chunks stay unseen until their jobs end")
            return set(), set()
        return held, claims - held
