"""The checker finds each way to break a promise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from tests.campaigns.checker import Evidence, check, ends, table
from tests.campaigns.load import Accepted, Sighting
from tests.simulators import Calls

Change = Mapping[str, Any]


def _job(mark: str, **changes: Any) -> dict[str, Any]:
    message = {"content": f"answer to {mark}"}
    job = {
        "status": "completed",
        "completed_at": 5,
        "error": None,
        "waiting_for": None,
        "choices": [{"message": message}],
    }
    return {**job, **changes}


def _evidence(mark: str = "s1-b-1", calls: int = 1, **changes: Any) -> Evidence:
    return Evidence(
        accepted=[Accepted("chatcmpl-1", mark, 1.0, 0.01)],
        jobs={"chatcmpl-1": _job(mark, **changes)},
        first_seen={},
        calls={mark: Calls(begun=calls, answered=calls)},
    )


def _failed(code: str) -> dict[str, Any]:
    return {"status": "failed", "choices": [], "error": {"code": code}}


def _broken(evidence: Evidence) -> list[str]:
    return [finding.what for finding in check(evidence) if not finding.holds]


def test_a_completed_job_with_its_own_answer_breaks_nothing() -> None:
    assert _broken(_evidence()) == []


def test_an_id_that_the_api_does_not_know_is_lost() -> None:
    evidence = _evidence()
    evidence.jobs = {"chatcmpl-1": None}
    assert _broken(evidence) == ["accepted jobs that are lost"]
    assert ends(evidence) == {"lost": 1}


def test_a_live_job_and_a_live_row_of_nobody_are_stuck() -> None:
    assert _broken(_evidence(status="queued")) == ["accepted jobs that did not end"]
    evidence = _evidence()
    evidence.live_rows = 1
    assert _broken(evidence) == ["accepted jobs that did not end"]


def test_an_end_that_changed_is_found() -> None:
    evidence = _evidence()
    evidence.first_seen = {"chatcmpl-1": Sighting("failed", 4, "interrupted", None)}
    assert _broken(evidence) == ["jobs whose end changed"]


@pytest.mark.parametrize(
    ("mark", "calls", "broken"),
    [
        ("s1-b-1", 2, ["jobs called twice without asking for it"]),
        ("s1-p-1", 2, ["jobs called twice without asking for it"]),
        ("s1-r-1", 3, []),
        ("s1-r-1", 4, ["jobs called more than 3 times"]),
    ],
)
def test_calls_are_held_against_what_the_job_asked_for(
    mark: str, calls: int, broken: list[str]
) -> None:
    assert _broken(_evidence(mark, calls)) == broken


def test_an_answer_of_another_job_or_of_nobody_is_wrong() -> None:
    wrong = ["answers that are not the job's own, or that nobody gave"]
    other = [{"message": {"content": "answer to s1-b-2"}}]
    assert _broken(_evidence(choices=other)) == wrong
    assert _broken(_evidence(calls=0)) == wrong


def test_only_failures_that_faults_explain_are_tolerated() -> None:
    assert _broken(_evidence(**_failed("interrupted"))) == []
    evidence = _evidence(**_failed("upstream_refused"))
    assert _broken(evidence) == ["failures that the faults do not explain"]
    assert "upstream_refused" in table(check(evidence))
