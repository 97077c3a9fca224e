"""Stored values that do not open: told and counted alike, in whatever process one is read.

The count is one for a process, and belongs to no object: where a value is opened, nothing is at
hand but what opens it.
"""

from __future__ import annotations

import logging
from typing import Final

from prometheus_client import Counter

COUNT: Final = Counter(
    "dragoman_values_unreadable_total",
    "Reads of stored values that did not open with the keyring in force.",
    registry=None,
)

logger = logging.getLogger(__name__)


def tell(broken: Exception) -> None:
    """Tell the log which value it is and with what key it was sealed, and count it."""
    logger.error("a stored value does not open: %s", broken)
    COUNT.inc()
