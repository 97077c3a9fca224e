"""An hour of mixed load on `./dragoman up` as a user starts it: promise 22, memory stays flat.

Nothing is broken on purpose and every setting is the ordinary one. The resident set of each process
is sampled for the whole time; its median in the last tenth is compared with that in the tenth right
after the warm-up. Nothing may be lost, stuck or answered wrongly meanwhile, either.
"""

from __future__ import annotations

import math
import time
from dataclasses import replace
from pathlib import Path
from typing import Final

from benchmarks.processes import cpu_seconds
from tests.campaigns.checker import Finding
from tests.campaigns.faults import Say
from tests.campaigns.mixed_campaign import finish, scene, summary
from tests.campaigns.mixed_judge import judge as judge_chats
from tests.campaigns.soak_judge import MOST_GROWTH, Sample, courses, judge
from tests.campaigns.soak_load import SoakLoad
from tests.campaigns.soak_memory import database_bytes, figures, sample
from tests.campaigns.told import Told
from tests.simulators import running, spawned
from tests.system import System

EVERY_SECONDS: Final = 5.0  # between two samples
FEWEST_SAMPLES: Final = 100  # of a run, however short
PROGRESS_SECONDS: Final = 60.0
TOLD_SECONDS: Final = 80.0
PATIENCE: Final = 4.0  # how quick a cancel is others measure: a soak has the machine not to itself


def run(
    folder: Path,
    *,
    seconds: float,
    seed: int,
    say: Say,
    most: float = MOST_GROWTH,
    patience: float = PATIENCE,
    told_within: float = TOLD_SECONDS,
) -> list[Finding]:
    """Load for `seconds`, then everything must end. `most` is the greatest growth that holds."""
    with (
        running(Told()) as receiver,
        spawned() as upstream,
        System(folder / "data") as system,
    ):
        assert isinstance(receiver.simulator, Told)
        slug = system.api.add_provider("soak", upstream.url)["slug"]
        played_on = scene(system, upstream, f"{slug}/sim-model", hook=receiver.url)
        load = SoakLoad(played_on, run=f"k{seed}", seed=seed)
        before = cpu_seconds([system.runner_pid])
        load.start()
        try:
            samples = _watch(system, load, seconds=seconds, say=say)
            used = cpu_seconds([system.runner_pid]) - before
            stopped = Finding("-", "a load that ended by itself")
            stopped.broken += [] if load.alive else ["see the error above"]
        finally:
            load.stop()
        played = finish(system, load, receiver.simulator, say, told_within=told_within)
        played.accepted = [entry for entry in played.accepted if "-f-" not in entry.mark]
        # No worker was restarted: nothing may be interrupted at any time.
        played = replace(played, calm_until=math.inf, patience=patience)
        say(summary(played))
        say(f"CPU of all processes: {used / seconds:.1%} of a core")
        say(f"at the end: {figures(sample(system, seconds), system)}")
        for course in courses(samples, seconds=seconds):
            say(str(course))
        told = Finding("-", "webhooks that nobody may send")
        told.broken += receiver.simulator.wrong
        flat = judge(samples, seconds=seconds, most=most)
        return [*flat, *judge_chats(played), *load.findings(), told, stopped]


def _watch(system: System, load: SoakLoad, *, seconds: float, say: Say) -> list[Sample]:
    """Sample until `seconds` are over or the load has ended; a line each minute."""
    every = min(EVERY_SECONDS, seconds / FEWEST_SAMPLES)
    samples: list[Sample] = []
    kept = system.data_dir.with_name("memory.csv")
    began, told = time.monotonic(), 0.0
    with kept.open("w", encoding="utf-8", buffering=1) as file:
        file.write("seconds,role,pid,rss,pss\n")
        while load.alive and (at := time.monotonic() - began) < seconds:
            one = sample(system, at)
            samples.append(one)
            for role, memory in one.processes.items():
                file.write(f"{at:.1f},{role},{memory.pid},{memory.rss},{memory.pss}\n")
            file.write(f"{at:.1f},database,,{database_bytes(system)},\n")
            if at >= told:
                told += PROGRESS_SECONDS
                say(f"{len(load.chats)} chats, {load.looks} looks; {figures(one, system)}")
            time.sleep(max(0.0, every - (time.monotonic() - began - at)))
    return samples
