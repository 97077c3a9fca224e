"""The short forms of the campaigns: the same code, for seconds instead of hours.

`mixed` stands for `faults`, `poison` and `rolling`, which only their commands run, and for the
whole of promises 1 to 6, 8 to 10, 12 and 17; the other campaigns have promises of their own, and
`cancel` and `idempotency` take 3 s here for what `mixed` has no time for: cancels of every kind of
job within a second of each other, 50 posts with each key.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.campaigns import (
    blackholes_campaign,
    cancel_campaign,
    events_campaign,
    hostile_campaign,
    idempotency_campaign,
    mixed_campaign,
    rotation_campaign,
    soak_campaign,
)
from tests.campaigns.checker import Finding, table
from tests.simulators import Remote
from tests.system import System

Run = Callable[..., list[Finding]]
BLACKHOLES = partial(blackholes_campaign.run, patience=5)  # for machines that do other things, too
EVENTS = partial(events_campaign.run, pause=0.2, longest=0.5, patience=3)
HOSTILE = partial(hostile_campaign.run, patience=3)
MIXED = partial(mixed_campaign.run, patience=4, told_within=8)
# Seconds prove no flatness: the frame must run, serve its load and lose nothing.
SOAK = partial(soak_campaign.run, most=math.inf, patience=4, told_within=4)
SEED = 4275


@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    ("run", "seconds"),
    [
        pytest.param(MIXED, 60, id="mixed"),
        pytest.param(rotation_campaign.run, 0, id="rotation"),
        pytest.param(BLACKHOLES, 3, id="blackholes"),
        pytest.param(EVENTS, 0, id="events"),
        pytest.param(HOSTILE, 0, id="hostile"),
        pytest.param(SOAK, 6, id="soak"),
    ],
)
def test_the_short_form_of_the_campaign_breaks_no_promise(
    run: Run, seconds: float, tmp_path: Path
) -> None:
    findings = run(tmp_path, seconds=seconds, seed=SEED, say=print)
    assert all(finding.holds for finding in findings), table(findings)


def test_the_short_form_of_the_campaign_cancel_breaks_no_promise(
    system: System, far_upstream: Remote
) -> None:
    findings = cancel_campaign.play(system, far_upstream, seconds=0, seed=SEED, say=print)
    assert all(finding.holds for finding in findings), table(findings)


def test_the_short_form_of_the_campaign_idempotency_breaks_no_promise(
    system: System, second_registry: str, far_upstream: Remote
) -> None:
    findings = idempotency_campaign.play(
        system, [system.url, second_registry], far_upstream, seconds=0, seed=SEED, say=print
    )
    assert all(finding.holds for finding in findings), table(findings)
