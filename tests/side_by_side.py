"""How `./dragoman test` shares the suite out between processes, so that both end together.

A whole system wants both cores: all of tests/e2e is one unit of work, which starts first. So is
what shares a composition. Any other unit is a file, whose fixtures are then made once; slow layers
come first, fast ones fill up.
"""

from __future__ import annotations

from typing import Final

import pytest
from xdist.scheduler import LoadScopeScheduling

WHOLE_SYSTEMS: Final = "tests/e2e/"
COMPOSED: Final = "tests/integration/deployment/composed/"
SLOW_FIRST: Final = (WHOLE_SYSTEMS, "tests/integration/", "tests/contract/")


def unit_of(nodeid: str) -> str:
    """The unit of work that a test belongs to."""
    for together in (WHOLE_SYSTEMS, COMPOSED):
        if nodeid.startswith(together):
            return together
    return nodeid.partition("::")[0]


def turn_of(item: pytest.Item) -> int:
    """When a test's layer has its turn; inside a layer tests keep their order."""
    layers = (place for place, layer in enumerate(SLOW_FIRST) if item.nodeid.startswith(layer))
    return next(layers, len(SLOW_FIRST))


class Scheduler(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """xdist's own, with our units."""

    def _split_scope(self, nodeid: str) -> str:
        return unit_of(nodeid)
