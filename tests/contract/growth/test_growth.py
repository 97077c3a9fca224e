"""Nothing that is done all day reads more because more jobs have ended."""

from __future__ import annotations

import pytest

from tests.contract.growth.conftest import Grown
from tests.contract.growth.uses import LISTS, QUEUES, TRAILS, USAGE, WORK

FACTOR = 1.3
# What statistics and chance may add: a fraction of what it costs to read the rows that were added.
SLACK = {"sqlite": 2_000, "postgresql": 500}


@pytest.mark.parametrize("use", [*WORK, *LISTS, *TRAILS, *USAGE])
def test_ten_times_the_finished_jobs_cost_the_same(use: str, grown: Grown) -> None:
    few, many = grown.cost[use]
    assert many <= FACTOR * few + SLACK[grown.database]


@pytest.mark.parametrize("use", QUEUES)
def test_ten_times_the_queued_jobs_cost_the_same(use: str, queued: Grown) -> None:
    """A claim read all that was queued once for each lane."""
    few, many = queued.cost[use]
    assert many <= FACTOR * few + SLACK[queued.database]
