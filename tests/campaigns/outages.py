"""Outages of what the services connect to, one after another under load, and what must be true.

An outage is begun, lasts, is ended; then calls must go on. Everything that was accepted before,
meanwhile and afterwards is compared as in every campaign.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from tests.campaigns.checker import Evidence, Finding, check, ends
from tests.campaigns.faults import Say
from tests.campaigns.jobtable import JobTable
from tests.campaigns.load import Load, Shape
from tests.campaigns.outage_judge import Observed, judge
from tests.campaigns.stage import LEASE_SECONDS, Stage
from tests.eventually import eventually

Away = Literal["database", "disk", "valkey", "upstream", ""]

RESUMED_SECONDS: Final = 30.0  # promise 6, held for every outage
NOTICE_SECONDS: Final = 2 * LEASE_SECONDS + 10
ANSWERS_AGAIN: Final = 10  # calls after which the work is thought to go on
SHAPE: Final = Shape(kinds={"b": 6, "r": 2, "p": 2}, latency=(0.05, 1.0), rate=30)


@dataclass(frozen=True, slots=True)
class Outage:
    """One way in which something is `away`; "" where it is only slow or lost for a moment.

    What is away may answer from the moment at which `end` is called, or from the `time.time()` that
    it returns. `seconds` bounds how long it may last where that is less than the campaign asks for.
    """

    name: str
    away: Away
    begin: Callable[[], object]
    end: Callable[[], float | None]
    seconds: float = float("inf")


@dataclass(frozen=True, slots=True)
class Lasted:
    """One outage that was, in `time.time()`; `resumed` in seconds, None: not.

    It was begun `at`, was whole from `since` on and lasted `until` that moment.
    """

    name: str
    away: Away
    at: float
    since: float
    until: float
    resumed: float | None


@dataclass(slots=True)
class Outages:
    """Plays outages on a stage, whose load it also runs.

    Jobs may end with one of the `tolerated` codes; `patience` stretches what must be quick.
    Work goes on when `enough` calls were answered.
    """

    setting: Stage
    seed: int
    say: Say
    tolerated: Sequence[str] = ()
    patience: float = 1.0
    enough: int = ANSWERS_AGAIN
    shape: Shape = field(default_factory=lambda: SHAPE)
    lasted: list[Lasted] = field(default_factory=list)

    def play(
        self, menu: Sequence[Outage], *, seconds: float, longest: float, pause: float
    ) -> list[Finding]:
        """Rounds of all of the menu until `seconds` are over, one round at least.

        An outage lasts up to `longest` seconds, half of that at least; `pause` is the mean between
        two. The findings are those of the whole load.
        """
        dice, system = random.Random(self.seed), self.setting.system
        run = f"o{self.seed}"
        load = Load(
            system.url,
            system.admin_key,
            self.setting.model,
            run=run,
            shape=self.shape,
            seed=self.seed,
        )
        load.start()
        deadline = time.monotonic() + seconds
        try:
            self._goes_on()
            rounds = 0
            while rounds == 0 or time.monotonic() < deadline:
                for outage in dice.sample(menu, len(menu)):
                    if rounds and time.monotonic() > deadline:
                        break
                    lasts = min(dice.uniform(longest / 2, longest), outage.seconds)
                    self._make(outage, lasts)
                    time.sleep(dice.expovariate(1 / pause))
                rounds += 1
        finally:
            load.stop()
        return self._judged(load)

    def _make(self, outage: Outage, seconds: float) -> None:
        at = time.time()
        outage.begin()
        since = time.time()
        try:
            time.sleep(seconds)
        finally:
            ending = time.time()
            until = outage.end() or ending
        began = time.monotonic()
        resumed = time.monotonic() - began if self._goes_on() else None
        self.lasted.append(Lasted(outage.name, outage.away, at, since, until, resumed))
        later = "no work since" if resumed is None else f"work went on after {resumed:.1f} s"
        self.say(f"outage {len(self.lasted)}: {outage.name} for {until - at:.1f} s; {later}")

    def _goes_on(self) -> bool:
        enough = self.setting.upstream.stats().answered + self.enough
        try:
            self.setting.upstream.wait_until(lambda s: s.answered >= enough, RESUMED_SECONDS)
        except TimeoutError:
            return False
        return True

    def _judged(self, load: Load) -> list[Finding]:
        jobs = JobTable(self.setting.database_url)
        began = time.monotonic()
        try:
            eventually(lambda: jobs.live() == 0, NOTICE_SECONDS + RESUMED_SECONDS, every=0.2)
        except TimeoutError:
            self.say("not all jobs ended; the report names them")
        self.setting.system.api.healthy(60)
        evidence = Evidence(
            accepted=[*load.accepted, *load.plain],
            jobs=load.collect(),
            first_seen=load.first_seen,
            calls=self.setting.upstream.calls(),
            live_rows=jobs.live(),
            tolerated=self.tolerated,
        )
        why = Counter(refusal.why for refusal in load.refused)
        self.say(f"all ended within {time.monotonic() - began:.1f} s: {dict(ends(evidence))}")
        self.say(f"{len(self.lasted)} outages, {len(evidence.accepted)} accepted; {dict(why)}")
        observed = Observed(self.lasted, load.accepted, load.refused, self.patience)
        return [*check(evidence), *judge(observed)]
