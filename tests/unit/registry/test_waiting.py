"""What ends a wait for a job, by the rows that a look finds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

import pytest

from services.registry.database import Transactions
from services.registry.waiting import Wait, Waiting
from shared.domain import JobState
from shared.errors import StoreUnavailable
from shared.store.jobs import Retention

ROW = tuple[JobState, int]


class Rows:
    """Transactions that find these rows; `meanwhile` runs while they are read."""

    def __init__(self, found: Mapping[str, ROW], meanwhile: Callable[[], None]) -> None:
        self._found = found
        self._meanwhile = meanwhile

    def read(self, _work: Callable[[Any], Any]) -> Any:
        self._meanwhile()
        return self._found


class Silent:
    def send(self, channel: str, job_ids: Iterable[str]) -> None: ...


def looked(
    wait: Wait, found: Mapping[str, ROW], meanwhile: Callable[[], None] = lambda: None
) -> bool:
    """Whether a look that finds these rows ends the wait."""
    rows = cast(Transactions, Rows(found, meanwhile))
    waiting = Waiting(rows, Silent(), cast(Retention, None), now=lambda: 0.0)
    waiting._waits[wait.job_id] = {wait}
    waiting.look()
    return bool(wait.ended.is_set())


@pytest.mark.parametrize(
    ("begun", "found", "ends"),
    [
        (False, {}, False),  # its row is not there yet
        (True, {}, True),  # its row was deleted
        (True, {"job": (JobState.IN_PROGRESS, 2)}, False),
        (True, {"job": (JobState.COMPLETED, 3)}, True),
    ],
)
def test_a_wait_ends_with_its_job(begun: bool, found: Mapping[str, ROW], ends: bool) -> None:
    assert looked(Wait("job", begun=begun), found) is ends


def test_a_job_that_is_committed_while_the_rows_are_read_is_not_taken_for_deleted() -> None:
    """Else a plain call would answer `deadline_exceeded` while its job runs."""
    wait = Wait("job")
    assert not looked(wait, {}, meanwhile=lambda: setattr(wait, "begun", True))


def test_a_caller_who_left_while_the_database_was_away_is_not_forgotten() -> None:
    """Else the provider would go on, and be paid, for nobody."""
    asked: list[str] = []

    class Away:
        def write(self, _work: Callable[[Any], Any]) -> Any:
            asked.append("write")
            if len(asked) == 1:
                raise StoreUnavailable("away")
            return ["job"]

    rows = cast(Transactions, Away())
    waiting = Waiting(rows, Silent(), cast(Retention, None), now=lambda: 0.0)
    waiting.give_up("job")
    waiting.look()
    waiting.look()
    assert asked == ["write", "write"]
