"""What clients may do, and worse: no answer of 500 or more, none that takes more than 5 s."""

from __future__ import annotations

import re

import pytest

from tests.integration.clients.conftest import World
from tests.integration.clients.requests import REQUESTS, Hostile
from tests.integration.clients.wire import HANG

_DEFECT = re.compile(
    r"^.*(?: status=5\d\d |Traceback|a request ended in a defect).*$", re.MULTILINE
)


@pytest.mark.parametrize("hostile", REQUESTS.values(), ids=REQUESTS.keys())
def test_a_hostile_request_is_answered_as_what_it_is(world: World, hostile: Hostile) -> None:
    before = len(world.system.output())
    answer = hostile.send(world)
    code = answer.code if answer.status >= 400 else None
    assert (answer.status, code) in hostile.expected, answer.body[:500]
    assert answer.seconds < HANG
    after = world.ask("GET", "/v1/me")
    assert (after.status, after.seconds < 1) == (200, True)
    assert _DEFECT.findall(world.system.output()[before:]) == []
