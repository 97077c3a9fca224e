"""A failure tells a gate nothing when a call that began later was answered."""

from __future__ import annotations

import pytest

from services.chat_worker.answered import Answered
from shared.domain import JobState
from shared.store.jobs import GateEffect, Outcome


def outcome(began: float, cause: str | None = None, *, revision: int = 1) -> Outcome:
    gate = GateEffect("prov_1", revision, began, cause=cause)
    state = JobState.FAILED if cause else JobState.COMPLETED
    return Outcome("job", "wrk", 1, state, gate=gate)


@pytest.mark.parametrize(
    ("answered", "failed", "overtaken"),
    [
        (outcome(5.0), outcome(4.0, "upstream_unreachable"), True),
        (outcome(5.0), outcome(6.0, "upstream_unreachable"), False),
        (outcome(5.0), outcome(5.0, "upstream_unreachable"), False),
        (outcome(5.0), outcome(4.0, "upstream_unreachable", revision=2), False),
        (outcome(5.0, revision=2), outcome(4.0, "upstream_unreachable"), False),
    ],
)
def test_only_a_later_call_to_the_same_revision_overtakes(
    answered: Outcome, failed: Outcome, overtaken: bool
) -> None:
    seen = Answered()
    seen.judged(answered)
    seen.judged(outcome(1.0))  # an older answer that ends later changes nothing
    judged = seen.judged(failed)
    assert judged.gate is not None
    assert judged.gate.overtaken is overtaken
    assert judged.state is JobState.FAILED


def test_what_tells_nothing_of_a_gate_and_what_comes_first_stay_as_they_are() -> None:
    seen = Answered()
    bare = Outcome("job", "wrk", 1, JobState.QUEUED)
    failed = outcome(4.0, "upstream_unreachable")
    assert seen.judged(bare) is bare
    assert seen.judged(failed) is failed
