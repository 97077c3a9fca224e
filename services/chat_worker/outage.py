"""How long the database has been away, and when to ask it again."""

from __future__ import annotations

import logging
import time
from typing import Final

from shared.store.database import is_lock_timeout, reason_of

FIRST_REST: Final = 0.2  # seconds after an error of the database, growing to the longest
LONGEST_REST: Final = 2.0
_AWAY: Final = "the database does not answer; claiming stops, calls go on"
_LOCKED: Final = "a lock in the database was not free for 5 s; claiming waits, calls go on"

logger = logging.getLogger(__name__)


class Outage:
    """The outage that lasts, if one does; told once in the log when it begins and when it ends.

    A lock that somebody else holds for long stops the claiming as well, and is called what it is.
    """

    def __init__(self) -> None:
        self.rest_seconds = FIRST_REST
        self._since: float | None = None
        self._told = ""

    @property
    def lasts(self) -> bool:
        """Whether the database was away when it was last asked."""
        return self._since is not None

    @property
    def is_long(self) -> bool:
        """Whether it has been asked again as often as makes sense to somebody who must stop."""
        return self.rest_seconds >= LONGEST_REST

    def note(self, fault: Exception) -> None:
        """The database did not answer, or not in time."""
        if self._since is None:
            self._since = time.monotonic()
            self.rest_seconds = FIRST_REST
        else:
            self.rest_seconds = min(self.rest_seconds * 1.5, LONGEST_REST)
        locked = is_lock_timeout(fault)
        if self._told in ("", _LOCKED) and (sentence := _LOCKED if locked else _AWAY) != self._told:
            self._told = sentence
            level = logging.WARNING if locked else logging.ERROR
            logger.log(level, sentence, extra={"reason": reason_of(fault)})

    def note_end(self) -> None:
        """The database answered."""
        if self._since is not None:
            extra = {"away_seconds": round(time.monotonic() - self._since, 1)}
            back = "the lock is free again" if self._told == _LOCKED else "the database is back"
            logger.info(back, extra=extra)
            self._since, self._told = None, ""
