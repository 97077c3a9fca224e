"""The short forms of the campaigns database, network, valkey, clock and disk, on two systems.

Of all their outages some, each once and for a moment, under the same judges: what a caller is told
meanwhile, that work goes on, that nothing is lost, ends twice or is paid twice.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.campaigns import (
    clock_campaign,
    database_campaign,
    disk_campaign,
    network_campaign,
    valkey_campaign,
)
from tests.campaigns.checker import table
from tests.campaigns.load import Shape
from tests.campaigns.outages import Outages
from tests.clocks import NoFakeTime
from tests.postgres import PostgresMissing
from tests.smalldisk import NoSmallDisk, small_disk

SEED = 61
LONGEST = 0.7  # seconds; half of that at least
PAUSE = 0.05
ENOUGH = 4  # answers after which work is thought to go on
PATIENCE = 6.0  # for machines that do other things, too
SHAPE = Shape(kinds={"b": 6, "r": 2, "p": 2}, latency=(0.05, 0.5), rate=15, connections=16)
# Of everything that the long forms do, what the others stand for.
NAMES = (
    "database frozen",
    "database crashed",
    "database cut in an answer",
    "upstream cut in an answer",
    "valkey refusing writes",
    "everybody an hour ahead",
)


@pytest.mark.timeout(180)
def test_outages_of_database_network_valkey_and_clocks_break_no_promise(tmp_path: Path) -> None:
    with (
        _told_what_is_missing(),
        clock_campaign.machines(
            tmp_path, durable=True, second_worker=False, options=network_campaign.SHORT_BOUNDS
        ) as scene,
    ):
        setting, network = scene.setting, scene.setting.network
        assert network is not None
        everything = [
            *database_campaign.menu(scene.server),
            *network_campaign.menu(network),
            *valkey_campaign.menu(setting.valkey),
            *clock_campaign.menu(scene.clocks),
        ]
        known = {outage.name: outage for outage in everything}
        tolerated = (*network_campaign.LOST, *clock_campaign.JUMPED)
        outages = Outages(setting, SEED, print, tolerated, PATIENCE, ENOUGH, SHAPE)
        menu = [known[name] for name in NAMES]
        findings = outages.play(menu, seconds=0, longest=LONGEST, pause=PAUSE)
    assert all(finding.holds for finding in findings), table(findings)


@pytest.mark.timeout(180)
def test_a_full_disk_breaks_no_promise_and_is_told_in_the_log(tmp_path: Path) -> None:
    with _told_what_is_missing(), small_disk(disk_campaign.MEBIBYTES) as disk:
        findings = disk_campaign.play(
            disk, seconds=0, longest=LONGEST, pause=PAUSE, seed=SEED, say=print
        )
    assert all(finding.holds for finding in findings), table(findings)


@contextmanager
def _told_what_is_missing() -> Iterator[None]:
    """Skip on a machine without what this needs; CI has it."""
    try:
        yield
    except (NoFakeTime, PostgresMissing) as missing:
        if os.environ.get("CI") == "true":
            pytest.fail(f"CI must not skip this: {missing}")
        pytest.skip(str(missing))
    except NoSmallDisk as missing:  # also where CI's container may not mount
        pytest.skip(str(missing))
