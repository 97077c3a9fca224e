"""The judge of outages finds each way to break what a caller is promised meanwhile."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from tests.campaigns.load import Accepted, Refused
from tests.campaigns.outage_judge import HONEST, Observed, judge
from tests.campaigns.outages import Lasted

DATABASE = Lasted("database frozen", "database", 100.0, 100.1, 160.0, 1.0)
VALKEY = Lasted("valkey full", "valkey", 200.0, 200.1, 220.0, 1.0)
QUICK = [Accepted(f"id-{n}", f"o-b-{n}", 201.0 + n / 10, 0.1) for n in range(100)]
BEFORE = Accepted("id", "o-b-before", 100.1, 0.05)  # its commit was under way
SLOW = [Accepted(f"late-{n}", f"o-b-late-{n}", 215.0, 0.3) for n in range(2)]
TOLD = Refused("o-b-told", 110.0, HONEST, 5.0)
WELL = Observed([DATABASE, VALKEY], [BEFORE, *QUICK], [TOLD])


def broken(observed: Observed) -> list[str]:
    return [finding.what.split(" (")[0] for finding in judge(observed) if not finding.holds]


def test_outages_in_which_all_went_well_break_nothing() -> None:
    assert broken(WELL) == []


@pytest.mark.parametrize("at", [100.4, 130.0, 159.0])
def test_a_submission_accepted_while_the_database_is_away_is_found(at: float) -> None:
    found = replace(WELL, accepted=[*QUICK, Accepted("id", "o-b-1", at, 0.5)])
    assert broken(found) == ["submissions accepted while the database was away"]


def test_one_that_was_accepted_before_it_was_whole_or_once_it_was_back_breaks_nothing() -> None:
    slowly = replace(DATABASE, since=103.0)
    asked = Accepted("id", "o-b-1", 102.0, 0.5)
    assert broken(replace(WELL, lasted=[slowly, VALKEY], accepted=[*QUICK, asked])) == []
    later = [*QUICK, replace(asked, at=103.0)]
    assert broken(replace(WELL, lasted=[slowly, VALKEY], accepted=later)) != []
    assert broken(replace(WELL, accepted=[*QUICK, Accepted("id", "o-b-1", 159.0, 1.5)])) == []


@pytest.mark.parametrize("why", ["500 internal_error", "TimeoutError: ", "429 queue_full"])
def test_any_other_answer_than_that_the_store_is_away_is_found(why: str) -> None:
    found = replace(WELL, refused=[Refused("o-b-1", 120.0, why, 1.0)])
    what = f"refusals other than {HONEST} while the database or its disk was away"
    assert broken(found) == [what]
    full = replace(DATABASE, away="disk")
    assert broken(replace(found, lasted=[full, VALKEY])) == [what]


@pytest.mark.parametrize("answer", [Accepted("id", "m", 110, 60), Refused("m", 110, HONEST, 26)])
def test_a_caller_who_is_told_nothing_is_found(answer: Accepted | Refused) -> None:
    accepted: Sequence[Accepted] = [answer] if isinstance(answer, Accepted) else []
    refused: Sequence[Refused] = [answer] if isinstance(answer, Refused) else []
    found = replace(WELL, accepted=[*QUICK, *accepted], refused=refused)
    assert broken(found) == ["callers who waited over 25 s while the database was away"]


def test_slow_submissions_while_valkey_is_away_are_found_as_are_too_few_to_say() -> None:
    what = "submissions while Valkey was away beyond 0.25 s at p99"
    assert broken(replace(WELL, accepted=[*QUICK, *SLOW])) == [what]
    assert broken(replace(WELL, accepted=[*QUICK, *SLOW], patience=2)) == []
    assert broken(replace(WELL, accepted=QUICK[:10])) == [what]
    calm = [Accepted(f"calm-{n}", f"o-b-calm-{n}", 300.0 + n, 0.4) for n in range(9)]
    slow_machine = replace(WELL, accepted=[*QUICK, *SLOW, *calm])
    assert broken(slow_machine) == [what]
    assert broken(replace(slow_machine, patience=1.1)) == []


def test_work_that_does_not_go_on_is_found() -> None:
    found = replace(WELL, lasted=[DATABASE, replace(VALKEY, resumed=None)])
    assert broken(found) == ["outages after which no work went on"]
