"""What clients may do, and worse: no answer of 500 or more, none that takes more than 5 s.

75 requests from hell and 9 crowds: every line of promise 18, most in several spellings. Then
schemathesis, in its short form, on the system that they leave behind.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.campaigns import api_campaign
from tests.campaigns.checker import table
from tests.integration.clients.conftest import World
from tests.integration.clients.crowds import CROWDS
from tests.integration.clients.requests import REQUESTS, Hostile
from tests.integration.clients.wire import HANG

_DEFECT = re.compile(
    r"^.*(?: status=5\d\d |Traceback|a request ended in a defect).*$", re.MULTILINE
)


def defects(world: World, before: int) -> list[str]:
    """What the log has of defects since it had so many characters."""
    return _DEFECT.findall(world.system.output()[before:])


@pytest.mark.parametrize("hostile", REQUESTS.values(), ids=REQUESTS.keys())
def test_a_hostile_request_is_answered_as_what_it_is(world: World, hostile: Hostile) -> None:
    before = len(world.system.output())
    answer = hostile.send(world)
    code = answer.code if answer.status >= 400 else None
    assert (answer.status, code) in hostile.expected, answer.body[:500]
    assert answer.seconds < HANG
    after = world.ask("GET", "/v1/me")
    assert (after.status, after.seconds < 1) == (200, True)
    assert defects(world, before) == []


@pytest.mark.parametrize("play", CROWDS, ids=lambda play: play.__name__)
def test_a_crowd_costs_the_others_little(world: World, play: Callable[[World], None]) -> None:
    before = len(world.system.output())
    play(world)
    assert defects(world, before) == []


@pytest.mark.timeout(240)
def test_the_short_form_of_the_campaign_api_breaks_no_promise(world: World, tmp_path: Path) -> None:
    findings = api_campaign.play(
        world.system, world.sim.endpoint, tmp_path, seconds=0, seed=0, say=print
    )
    told = (tmp_path / "schemathesis.txt").read_text("utf-8")
    assert all(finding.holds for finding in findings), f"{table(findings)}\n{told}"
