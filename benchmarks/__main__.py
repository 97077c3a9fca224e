"""`python -m benchmarks`: every scenario on every side in turns, and one report.

What it measures beside is installed into `.benchmark/` first. A whole run takes a quarter of an
hour on two cores, which should have nothing else to do.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import shlex
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import msgspec
import psutil

from benchmarks import machine, report, sides, targets
from benchmarks.load import raise_file_limit
from benchmarks.results import Results
from benchmarks.scale import FULL, SHORT, Scale
from benchmarks.scenarios import SCENARIOS
from benchmarks.stage import Stage, staged
from tests.postgres import PostgresMissing, find_binaries

# As in a user's installation, what is started keeps its compiled modules, beside the modules.
NO_BYTECODE = ("PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX")
APART = tuple(name for name, scenario in SCENARIOS.items() if scenario.apart)
WITHOUT = {
    "sqlite": (sides.POSTGRES,),
    "postgresql": (sides.SQLITE,),
}


def parser() -> argparse.ArgumentParser:
    """The options; without any, everything is measured."""
    root = argparse.ArgumentParser(
        prog="dragoman benchmark",
        description="Measure Dragoman beside the upstream asked directly, LiteLLM's proxy and "
        "plain Celery, on this machine, in turns; a report with the commands and versions in it.",
        allow_abbrev=False,
    )
    root.add_argument(
        "--only",
        nargs="+",
        choices=SCENARIOS,
        metavar="SCENARIO",
        help=f"only these: {', '.join(SCENARIOS)} (default: all but {', '.join(APART)})",
    )
    text = "tiny numbers, one pass, no LiteLLM: shows that all of it works, measures nothing"
    root.add_argument("--short", action="store_true", help=text)
    root.add_argument("--passes", type=int, help="how often each side has its turn (default 3)")
    text = "Dragoman on this database alone (default: both, where PostgreSQL is installed)"
    root.add_argument("--database", choices=WITHOUT, help=text)
    text = "write the report to FILE (Markdown) and beside it as .json, besides printing it"
    root.add_argument("--out", type=Path, metavar="FILE", help=text)
    return root


def scale_of(arguments: argparse.Namespace) -> Scale:
    """The sizes that were asked for."""
    scale = SHORT if arguments.short else FULL
    if arguments.passes is not None:
        scale = dataclasses.replace(scale, passes=max(1, arguments.passes))
    return scale


def measured(stage: Stage, names: Sequence[str]) -> Results:
    """Run these scenarios: in every pass each side has its turn, beginning with another one."""
    results = Results()
    for name in names:
        scenario = SCENARIOS[name]
        offered = stage.offered(scenario.sides)
        passes = 1 if scenario.apart else stage.scale.passes
        for number in range(passes):
            first = number % len(offered) if offered else 0
            for side in (*offered[first:], *offered[:first]):
                stage.say(f"{name}, pass {number + 1} of {passes}: {side}")
                try:
                    scenario.measure(stage, side, partial(results.note, name, side))
                except Exception as fault:
                    # The figures so far took minutes: they are told, and so is what is missing.
                    traceback.print_exc()
                    told = f"{type(fault).__name__}: {fault}".splitlines()[0]
                    results.failures.append(f"{name} of {side} failed in pass {number + 1}: {told}")
    return results


def say(text: str) -> None:
    """Progress, apart from the report."""
    print(f"{datetime.now(tz=UTC):%H:%M:%S} {text}", file=sys.stderr, flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print and write; 0 whatever the figures say, 1 when one could not be taken."""
    given = sys.argv[1:] if arguments is None else arguments
    options = parser().parse_args(given)
    raise_file_limit()
    # What was started ends with us, whoever ends us.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    for variable in NO_BYTECODE:
        os.environ.pop(variable, None)
    notes, without = [], set(WITHOUT.get(options.database, ()))
    if options.short:
        without |= {sides.LITELLM, sides.LITELLM_2, sides.POSTGRES} - {_asked_for(options)}
    elif sides.POSTGRES not in without:
        try:
            find_binaries()
        except PostgresMissing as missing:
            without.add(sides.POSTGRES)
            notes.append(f"Nothing was measured on PostgreSQL: {missing}.")
    begun, began, load = datetime.now(tz=UTC), time.monotonic(), psutil.getloadavg()[0]
    with (
        tempfile.TemporaryDirectory(prefix="dragoman-bench-") as folder,
        staged(scale_of(options), Path(folder), without=without, say=say) as stage,
    ):
        results = measured(stage, options.only or [name for name in SCENARIOS if name not in APART])
        commands = {name: side.command for name, side in stage.started().items()}
    run = report.Run(
        command=shlex.join(["./dragoman", "benchmark", *given]),
        begun=begun.isoformat(timespec="seconds"),
        seconds=time.monotonic() - began,
        load=load,
        machine=machine.description(litellm=sides.LITELLM not in without),
        commands=commands,
        notes=[*notes, *results.failures],
        scale=stage.scale,
        results=results,
    )
    text = report.markdown(run)
    print(text)
    print("\n".join(judged.line() for judged in targets.judged(results)))
    if options.out is not None:
        options.out.write_text(text, encoding="utf-8")
        encoded = msgspec.json.format(msgspec.json.encode(report.document(run)), indent=2)
        options.out.with_suffix(".json").write_bytes(encoded + b"\n")
        say(f"wrote {options.out} and {options.out.with_suffix('.json')}")
    return 1 if results.failures else 0


def _asked_for(options: argparse.Namespace) -> str | None:
    return sides.POSTGRES if options.database == "postgresql" else None


if __name__ == "__main__":
    sys.exit(main())
