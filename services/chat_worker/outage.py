"""How long the database has been away, and when to ask it again."""

from __future__ import annotations

import logging
import time
from typing import Final

from shared.store.database import reason_of

FIRST_REST: Final = 0.2  # seconds after an error of the database, growing to the longest
LONGEST_REST: Final = 2.0

logger = logging.getLogger(__name__)


class Outage:
    """The outage that lasts, if one does; told once in the log when it begins and when it ends."""

    def __init__(self) -> None:
        self.rest_seconds = FIRST_REST
        self._since: float | None = None

    @property
    def lasts(self) -> bool:
        """Whether the database was away when it was last asked."""
        return self._since is not None

    @property
    def is_long(self) -> bool:
        """Whether it has been asked again as often as makes sense to somebody who must stop."""
        return self.rest_seconds >= LONGEST_REST

    def note(self, fault: Exception) -> None:
        """The database did not answer."""
        if self._since is None:
            self._since = time.monotonic()
            self.rest_seconds = FIRST_REST
            logger.error(
                "the database does not answer; claiming stops, calls go on",
                extra={"reason": reason_of(fault)},
            )
        else:
            self.rest_seconds = min(self.rest_seconds * 1.5, LONGEST_REST)

    def note_end(self) -> None:
        """The database answered."""
        if self._since is not None:
            away = time.monotonic() - self._since
            logger.info("the database is back", extra={"away_seconds": round(away, 1)})
            self._since = None
