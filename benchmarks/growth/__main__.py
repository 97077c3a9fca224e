"""`python -m benchmarks.growth`: every figure with 1,000 finished jobs, and with 1,000,000.

    python -m benchmarks.growth --database postgresql
    python -m benchmarks.growth --queued

All systems run side by side on the same upstream and are asked in turns, so that a busy machine
disturbs both alike. Exits 1 when a figure is more than 1.5 times worse with the most jobs than with
the fewest, or 2 when its database could not be had.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from benchmarks import machine
from benchmarks.growth import figures
from benchmarks.growth.places import Place, place
from benchmarks.growth.timing import ALLOWED, Grown
from benchmarks.load import raise_file_limit
from tests.postgres import PostgresMissing, PostgresServer
from tests.simulators import spawned

FINISHED: Final = (1_000, 1_000_000)
QUEUED: Final = (1_000, 10_000, 100_000)


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


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth")
    text = "how many jobs each system has (default: 1,000 and 1,000,000 finished ones)"
    parser.add_argument("--jobs", type=int, nargs="+", help=text)
    text = "jobs that wait instead of finished ones (default: 1,000, 10,000 and 100,000)"
    parser.add_argument("--queued", action="store_true", help=text)
    parser.add_argument("--passes", type=int, default=5, help="how often each has its turn")
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    arguments = parser.parse_args()
    raise_file_limit()
    print("\n".join(machine.description()), flush=True)
    try:
        found = measured(
            arguments.jobs or (QUEUED if arguments.queued else FINISHED),
            queued=arguments.queued,
            postgres=arguments.database == "postgresql",
            passes=arguments.passes,
        )
    except PostgresMissing as missing:
        print(missing, file=sys.stderr)
        return 2
    print("\n".join(table(found)))
    return 0 if all(one.holds for one in found) else 1


if __name__ == "__main__":
    sys.exit(main())
