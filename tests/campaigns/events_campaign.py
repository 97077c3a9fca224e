"""Leaders killed, streams trimmed, wiped and forged under a load of changes: promise 11."""

from __future__ import annotations

import random
import time
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import redis

from shared import config, live
from shared.store import events
from shared.store.database import Database
from tests.campaigns.changes import Writer
from tests.campaigns.checker import Finding
from tests.campaigns.consumer import Consumer
from tests.campaigns.events_judge import Truth, differences, of_stream, of_table
from tests.campaigns.faults import Injector, Say
from tests.campaigns.registries import Registries, registries
from tests.campaigns.stage import Stage, stage
from tests.campaigns.stream_faults import StreamFaults
from tests.eventually import eventually
from tests.simulators import CountingSimulator, running

CONVERGED_SECONDS = 60.0
# The lease of 5 s, and the third of it after which the others look again.
TAKEN_OVER_SECONDS = 5.0 + 5.0 / 3 + 2.0
WRITERS, SERVERS = 3, 4
PAUSE_SECONDS = 2.0
AWAY_SECONDS = 5.0
LOOK_SECONDS = 0.1
FEWEST_CHANGES = 50


@dataclass(slots=True)
class Watch:
    """What is measured while it goes on; times in seconds."""

    database: Database
    consumer: Consumer
    registries: Registries
    behind: deque[tuple[float, int]] = field(default_factory=deque)  # when, the newest number
    lag: float = 0.0  # the longest from a number to the consumer's knowledge of it
    takeovers: list[float] = field(default_factory=list)

    def look(self) -> None:
        """Note where the table and the consumer are, and who leads."""
        now = time.monotonic()
        with self.database.read() as tx:
            self.behind.append((now, events.last_seq(tx)))
        known, _ = self.consumer.snapshot()
        while self.behind and self.behind[0][1] <= known:
            self.lag = max(self.lag, now - self.behind.popleft()[0])
        if len(self.takeovers) < len(self.registries.killed):
            killed_at, holder = self.registries.killed[len(self.takeovers)]
            if self.registries.holder() not in (None, holder):
                self.takeovers.append(now - killed_at)


def run(
    folder: Path,
    *,
    seconds: float,
    seed: int,
    say: Say,
    pause: float = PAUSE_SECONDS,
    longest: float = AWAY_SECONDS,
    patience: float = 1.0,
) -> list[Finding]:
    """Changes and faults for `seconds` (each fault once at least), then all must agree.

    `pause` is the mean between two faults, `longest` how long Valkey is away; a leader's place may
    be empty for `patience` times as long as it should.
    """
    dice = random.Random(seed)
    with stage(folder, second_worker=False) as setting, ExitStack() as stack:
        given = {"DRAGOMAN_DATA_DIR": str(setting.system.data_dir), "REDIS_URL": setting.valkey.url}
        settings = config.load(given)
        database = Database(settings.database_url)
        stack.callback(database.dispose)
        both = stack.enter_context(registries(setting, database, folder))
        consumer = Consumer(settings, database)
        consumer.start()
        stack.callback(consumer.stop)
        watch = Watch(database, consumer, both)
        menu = StreamFaults(setting, both, dice, longest=longest).menu()
        injector = Injector(menu, dice=dice, pause=pause, say=say, in_turn=True)
        servers = [stack.enter_context(running(CountingSimulator())).url for _ in range(SERVERS)]
        with _writing(setting, both, servers, seed) as writers:
            injector.start()
            deadline, report_at = time.monotonic() + seconds, time.monotonic() + 10
            try:
                while injector.error is None and (
                    time.monotonic() < deadline or len(injector.faults) < len(menu)
                ):
                    watch.look()
                    if time.monotonic() >= report_at:
                        report_at += 10
                        say(_figures(watch, writers))
                    time.sleep(LOOK_SECONDS)
            finally:
                injector.stop()
        agreed = _agreed(setting, watch, say)
        return [*agreed, *_seen(watch, patience), *_made(setting, watch, writers, injector, say)]


@contextmanager
def _writing(
    setting: Stage, both: Registries, servers: Sequence[str], seed: int
) -> Iterator[Sequence[Writer]]:
    """Writers at work until the block ends."""
    key = setting.system.admin_key
    with ExitStack() as stack:
        writers = [
            Writer(both.urls, key, servers, name=f"w{number}", seed=seed)
            for number in range(WRITERS)
        ]
        for writer in writers:
            writer.start()
            stack.callback(writer.stop)
        yield writers


def _agreed(setting: Stage, watch: Watch, say: Say) -> list[Finding]:
    """Wait until all agree."""
    began = time.monotonic()
    apart = Finding("11", f"what did not agree {CONVERGED_SECONDS:g} s after the last fault")

    def rest() -> list[str]:
        watch.look()
        return _apart(setting, watch)

    try:
        eventually(lambda: not rest(), CONVERGED_SECONDS, every=LOOK_SECONDS)
    except TimeoutError:
        apart.broken.extend(rest())
    say(f"the last look at what differs was {time.monotonic() - began:.1f} s after the last fault")
    return [apart]


def _seen(watch: Watch, patience: float) -> list[Finding]:
    """What was measured on the way."""
    late = Finding("11", f"events that the consumer knew later than {CONVERGED_SECONDS:g} s")
    if watch.lag > CONVERGED_SECONDS:
        late.broken.append(f"{watch.lag:.1f} s")
    bound = TAKEN_OVER_SECONDS * patience
    slow = Finding("11", f"leaders whose place was empty for more than {bound:.1f} s")
    slow.broken.extend(f"{took:.1f} s" for took in watch.takeovers if took > bound)
    return [late, slow]


def _made(
    setting: Stage, watch: Watch, writers: Sequence[Writer], injector: Injector, say: Say
) -> list[Finding]:
    """What table, stream and consumer hold in the end, and that it was a campaign."""
    truth, consumer = Truth.of(watch.database), watch.consumer
    disorder = Finding("11", "events that the consumer heard out of order, or not as they are")
    disorder.broken.extend(consumer.disorder)
    disorder.broken.extend(differences(truth, (heard.fields for heard in consumer.heard)))
    done = [change for writer in writers for change in writer.done]
    figures = _figures(watch, writers)
    say(f"{len(injector.faults)} faults; {figures}")
    made = Finding("-", "faults that could not be made, and a load that was none")
    if injector.error is not None:
        made.broken.append(repr(injector.error))
    if not watch.takeovers or not consumer.heard or len(done) < FEWEST_CHANGES:
        made.broken.append(figures)
    refused = sum((writer.refused for writer in writers), Counter[str]())
    unexplained = Finding("-", "changes refused that the faults do not explain")
    # A call breaks off when its registry is killed; nothing that becomes of Valkey refuses one.
    answers = (why for why in refused if why[0].isdigit())
    unexplained.broken.extend(f"{why}: {refused[why]}" for why in answers)
    agreed = [*of_table(truth, done), *of_stream(truth, _entries(setting))]
    return [disorder, *agreed, made, unexplained]


def _apart(setting: Stage, watch: Watch) -> list[str]:
    """Where database, stream, consumer and discovery differ now."""
    truth = Truth.of(watch.database)
    newest = truth.events[-1]["seq"]
    known, view = watch.consumer.snapshot()
    found = truth.unsettled()
    if (known, view) != (newest, truth.living):
        found.append(f"the consumer knows {known} of {newest}, differs on {_unlike(view, truth)}")
    if (last := [entry_id for entry_id, _ in _entries(setting)[-1:]]) != [f"{newest}-0"]:
        found.append(f"the stream ends at {last}, the table at {newest}")
    return found


def _unlike(view: Mapping[str, int], truth: Truth) -> list[tuple[str, int | None, int | None]]:
    ids = sorted(view.keys() | truth.living.keys())
    return [
        (id_, view.get(id_), truth.living.get(id_))
        for id_ in ids
        if view.get(id_) != truth.living.get(id_)
    ]


def _entries(setting: Stage) -> list[tuple[str, Mapping[str, str]]]:
    with redis.Redis(unix_socket_path=str(setting.valkey.socket), decode_responses=True) as client:
        entries: Any = client.xrange(live.STREAM)
    return list(entries)


def _figures(watch: Watch, writers: Sequence[Writer]) -> str:
    consumer = watch.consumer
    kinds = sum((writer.kinds for writer in writers), Counter[str]())
    refused = sum((writer.refused for writer in writers), Counter[str]())
    return (
        f"{dict(kinds)} done, {dict(refused)} refused; event {consumer.known}, "
        f"{len(consumer.heard)} heard, {consumer.rereads} reads of the database; longest lag "
        f"{watch.lag:.1f} s; {len(watch.takeovers)} takeovers, the longest "
        f"{max(watch.takeovers, default=0):.1f} s"
    )
