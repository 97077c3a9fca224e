"""The judges of the campaigns cancel and idempotency find each way to break their promise."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.campaigns import cancel_campaign, idempotency_campaign
from tests.campaigns.cancel_campaign import Cancelled
from tests.campaigns.checker import Finding
from tests.campaigns.idempotency_campaign import Key
from tests.campaigns.load import Sighting
from tests.simulators import Calls

ENDED = Sighting("cancelled", 1.0, "cancelled", None)
ANSWERED = Sighting("completed", 1.0, None, "answer to m")
CLOSED = Calls(begun=1, closed_early=1)
RUNNING = Cancelled("running", "m", "id", took=0.1, closed=0.1, end=ENDED, last=ENDED)
KEY = Key("k", "plain", jobs={"chatcmpl-1"}, first=1)


def broken(findings: list[Finding]) -> list[int]:
    return [number for number, finding in enumerate(findings) if not finding.holds]


@pytest.mark.parametrize(
    ("changes", "calls", "found"),
    [
        ({}, CLOSED, []),
        ({"kind": "racing", "end": ANSWERED, "last": ANSWERED}, Calls(1, 1), []),
        ({"kind": "deleted", "end": None, "last": None}, CLOSED, []),
        ({"wrong": "its cancel was answered 500"}, CLOSED, [0]),
        ({"end": ANSWERED, "last": ANSWERED}, Calls(1, 1), [0]),
        ({"took": 1.1}, CLOSED, [1]),
        ({"took": None}, CLOSED, [1]),
        ({"kind": "queued", "closed": None}, CLOSED, [2]),
        ({"closed": 2.1}, CLOSED, [3]),
        ({}, Calls(begun=1), [3]),
        ({"last": ANSWERED}, CLOSED, [4]),
        ({"last": None}, CLOSED, [4]),
    ],
)
def test_what_is_wrong_with_a_cancel_is_found(
    changes: dict[str, Any], calls: Calls, found: list[int]
) -> None:
    job = replace(RUNNING, **changes)
    assert broken(cancel_campaign.judge([job], {"m": calls})) == found


@pytest.mark.parametrize(
    ("changes", "calls", "found"),
    [
        ({}, Calls(1, 1), []),
        ({"first": 0, "hung_up": 50}, Calls(1, 1), []),
        ({"jobs": {"chatcmpl-1", "chatcmpl-2"}}, Calls(1, 1), [0]),
        ({"jobs": set()}, Calls(1, 1), [0]),
        ({}, Calls(2, 2), [1]),
        ({}, Calls(), [1]),
        ({"codes": {"409 {}"}}, Calls(1, 1), [2]),
        ({"first": 2}, Calls(1, 1), [3]),
        ({"later": "a replay after the end is answered 202"}, Calls(1, 1), [4]),
    ],
)
def test_what_is_wrong_with_a_key_is_found(
    changes: dict[str, Any], calls: Calls, found: list[int]
) -> None:
    key = replace(KEY, **changes)
    assert broken(idempotency_campaign.judge([key], {"k": calls})) == found
