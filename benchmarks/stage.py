"""The machine while a benchmark runs: one upstream, and the sides that were asked for so far."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from benchmarks import celery_worker, comparators, litellm_proxy, sides
from benchmarks.scale import Scale
from benchmarks.sides import Side
from tests.campaigns.jobtable import JobTable
from tests.eventually import eventually
from tests.simulators import Remote, spawned
from tests.system import System

ENDED_SECONDS: Final = 600.0


@dataclass(slots=True)
class Stage:
    """Starts a side when it is first asked for; all end with the stage.

    `without` are the sides that this run does without.
    """

    scale: Scale
    folder: Path
    upstream: Remote
    say: Callable[[str], None]
    without: frozenset[str]
    _stack: ExitStack
    _sides: dict[str, Side] = field(default_factory=dict)
    _systems: dict[str, System] = field(default_factory=dict)

    def offered(self, names: Iterable[str]) -> list[str]:
        """Those of `names` that this run has."""
        return [name for name in names if name not in self.without]

    def side(self, name: str) -> Side:
        """A side, started by now; raises ClientsMissing, PostgresMissing or SystemDied."""
        if name not in self._sides:
            if name != sides.DIRECT:
                self.say(f"starting {name}")
            self._sides[name] = self._start(name)
        return self._sides[name]

    def system(self, name: str) -> System:
        """The Dragoman behind a side that runs."""
        return self._systems[name]

    def started(self) -> Mapping[str, Side]:
        """The sides that were started, by name."""
        return self._sides

    def ended(self, name: str) -> JobTable:
        """The job table of a Dragoman, once all its jobs have ended."""
        jobs = JobTable(self.system(name).database_url)
        eventually(lambda: jobs.live() == 0, ENDED_SECONDS, every=0.1)
        return jobs

    def fresh_folder(self) -> Path:
        """An empty folder, for what a scenario starts for itself."""
        return Path(tempfile.mkdtemp(dir=self.folder))

    def _start(self, name: str) -> Side:
        match name:
            case sides.DIRECT:
                return sides.direct(self.upstream)
            case sides.SQLITE | sides.POSTGRES:
                place = sides.dragoman(self.folder, self.upstream, postgres=name == sides.POSTGRES)
                self._systems[name], side = self._stack.enter_context(place)
                return side
            case sides.LITELLM | sides.LITELLM_2:
                return self._stack.enter_context(self._litellm(name))
            case sides.CELERY:
                return self._stack.enter_context(celery_worker.celery(self.folder, self.upstream))
            case _:
                raise ValueError(f"Expected the name of a side, got {name!r}. See `sides`.")

    def _litellm(self, name: str) -> AbstractContextManager[Side]:
        python = comparators.litellm_python()
        workers = 1 if name == sides.LITELLM else 2
        return litellm_proxy.litellm(self.folder, python, self.upstream, workers=workers)


@contextmanager
def staged(
    scale: Scale, folder: Path, *, without: Iterable[str], say: Callable[[str], None]
) -> Iterator[Stage]:
    """A stage in `folder`, with its upstream; everything that it starts ends with the block."""
    with ExitStack() as stack:
        upstream = stack.enter_context(spawned())
        yield Stage(scale, folder, upstream, say, frozenset(without), stack)
