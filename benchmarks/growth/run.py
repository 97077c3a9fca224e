"""Start the systems of one comparison, measure them in turns, and tell the figures."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benchmarks.growth import figures
from benchmarks.growth.places import Place, place
from benchmarks.growth.timing import ALLOWED, Grown
from tests.postgres import PostgresServer
from tests.simulators import spawned


@contextmanager
def places(sizes: Sequence[int], *, queued: bool, postgres: bool) -> Iterator[list[Place]]:
    """Running systems with so many finished, or queued, jobs each; raises PostgresMissing."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="dragoman-growth-")))
        upstream = stack.enter_context(spawned())
        server = PostgresServer(durable=True) if postgres else None
        if server is not None:
            stack.callback(server.remove)
            server.create()
        started = []
        for size in sizes:
            url = None if server is None else server.fresh_database()
            one = stack.enter_context(place(folder, size, upstream, url, queued=queued))
            print(f"{size:,} jobs: written in {one.seeded_seconds:.0f} s", flush=True)
            started.append(one)
        yield started


def measured(
    sizes: Sequence[int], *, queued: bool = False, postgres: bool = False, passes: int = 5
) -> list[Grown]:
    """Every figure at each of these numbers of finished, or queued, jobs, least first."""
    with places(sorted(sizes), queued=queued, postgres=postgres) as started:
        return (figures.of_queues if queued else figures.of_tables)(started, passes)


def table(found: Sequence[Grown]) -> Iterator[str]:
    """The figures as Markdown: milliseconds with each number of jobs, and the factor."""
    sizes = sorted(found[0].by_size)
    yield "| figure | " + " | ".join(f"{size:,} jobs" for size in sizes) + " | factor | |"
    yield "|---|" + "---:|" * (len(sizes) + 1) + "---|"
    for one in found:
        taken = " | ".join(f"{one.by_size[size] * 1000:.2f} ms" for size in sizes)
        verdict = one.why or ("" if one.holds else f"more than {ALLOWED:g}")
        yield f"| {one.name} | {taken} | {one.factor:.2f} | {verdict} |"
