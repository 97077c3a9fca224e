"""Random faults of every process and of Valkey under load: promises 1 to 6."""

from __future__ import annotations

import random
import time
from collections import Counter
from pathlib import Path

from tests.campaigns.checker import Evidence, Finding, check, ends
from tests.campaigns.faults import Faults, Injector, Say
from tests.campaigns.jobtable import JobTable
from tests.campaigns.load import Load, Shape
from tests.campaigns.stage import LEASE_SECONDS, Stage, stage
from tests.eventually import eventually

NOTICE_SECONDS = 2 * LEASE_SECONDS + 10  # promise 5
SHAPE = Shape(kinds={"b": 6, "r": 3, "p": 1}, latency=(0.1, 2.0), rate=40)
PAUSE_SECONDS = 0.4  # mean, between two faults; most take seconds themselves


def run(folder: Path, *, seconds: float, seed: int, say: Say) -> list[Finding]:
    """Load and faults for `seconds`, then everything must end."""
    with stage(folder) as setting:
        load, injector = begin(setting, seed=seed, pause=PAUSE_SECONDS, say=say)
        deadline = time.monotonic() + seconds
        try:
            while (left := deadline - time.monotonic()) > 0 and injector.error is None:
                time.sleep(min(5.0, left))
                live = JobTable(setting.system.database_url).live()
                say(f"{len(load.accepted)} accepted, {len(load.refused)} refused, {live} live")
        finally:
            injector.stop()
            load.stop()
        return finish(setting, load, injector, say)


def begin(setting: Stage, *, seed: int, pause: float, say: Say) -> tuple[Load, Injector]:
    """Start load and faults."""
    system = setting.system
    load = Load(system.url, system.admin_key, setting.model, run=f"s{seed}", shape=SHAPE, seed=seed)
    load.start()
    dice = random.Random(seed)
    injector = Injector(Faults(setting, dice).menu(), dice=dice, pause=pause, say=say)
    injector.start()
    return load, injector


def finish(setting: Stage, load: Load, injector: Injector, say: Say) -> list[Finding]:
    """Wait for the ends, then compare."""
    jobs = JobTable(setting.system.database_url)
    slowest = SHAPE.latency[1]
    began = time.monotonic()
    try:
        eventually(lambda: jobs.live() == 0, NOTICE_SECONDS + slowest + 10, every=0.2)
    except TimeoutError:
        say("not all jobs ended; the report names them")
    setting.system.api.healthy(60)
    evidence = Evidence(
        accepted=[*load.accepted, *load.plain],
        jobs=load.collect(),
        first_seen=load.first_seen,
        calls=setting.upstream.calls(),
        live_rows=jobs.live(),
    )
    say(f"ended within {time.monotonic() - began:.1f} s of the last fault: {dict(ends(evidence))}")
    why = Counter(refusal.why for refusal in load.refused)
    say(f"faults: {len(injector.faults)}; refused: {dict(why)}; job table: {dict(jobs.states())}")
    made = Finding("-", "faults that could not be made, or that something outlived")
    if injector.error is not None:
        made.broken.append(repr(injector.error))
    return [*check(evidence), noticed(jobs, slowest), submits(load), made]


def noticed(jobs: JobTable, slowest: float) -> Finding:
    """Promise 5, seen from the table: no interrupted job ran longer than call and notice need."""
    bound = slowest + NOTICE_SECONDS
    late = [seconds for seconds in jobs.running_seconds("interrupted") if seconds > bound]
    what = f"interrupted jobs that were noticed later than {bound:g} s after their start"
    return Finding("5", what, [f"{seconds:.1f} s" for seconds in sorted(late, reverse=True)])


def submits(load: Load) -> Finding:
    """That the load was a load: refusals while a registry is away are no fault of the rest."""
    took = sorted(entry.took for entry in load.accepted)
    finding = Finding("-", "load that was too small to prove anything")
    if len(took) < 100:
        finding.broken.append(f"{len(took)} accepted, refused for example {load.refused[:3]}")
    else:
        p50, p99 = took[len(took) // 2], took[int(len(took) * 0.99)]
        finding.what += f" (submit p50 {p50 * 1000:.0f} ms, p99 {p99 * 1000:.0f} ms)"
    return finding
