"""That Redis is away, told once, and once that it is back."""

from __future__ import annotations

import logging


class Away:
    """What one of those who talk to Redis tells the log of it; used by one thread or loop.

    `lost` and `back` are whole sentences, without the reason.
    """

    def __init__(self, logger: logging.Logger, *, lost: str, back: str) -> None:
        self._logger = logger
        self._lost = lost
        self._back = back
        self._is_away = False

    def failed(self, fault: Exception) -> None:
        """It did not answer."""
        if not self._is_away:
            self._logger.warning(self._lost, extra={"reason": str(fault)})
        self._is_away = True

    def worked(self) -> None:
        """It answered."""
        if self._is_away:
            self._logger.info(self._back)
        self._is_away = False
