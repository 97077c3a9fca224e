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
from typing import Final

from benchmarks import machine
from benchmarks.growth.run import measured, table
from benchmarks.load import raise_file_limit
from tests.postgres import PostgresMissing

FINISHED: Final = (1_000, 1_000_000)
QUEUED: Final = (1_000, 10_000, 100_000)


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
