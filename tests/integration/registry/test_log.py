"""The registry's log: who writes it, and when. Its loop and native threads never wait for ever."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
LINES = 1_000

# The module patches as the process does; only then can its locks be looked at.
PROGRAM = f"""
import logging
import services.registry.__main__
import gevent
from gevent.threadpool import ThreadPool
from services.registry.log import GatheredLines
from shared.telemetry import configure_logging

configure_logging("registry")
log = GatheredLines.in_place_of_all()
log.begin()

def talk():
    for number in range({LINES}):
        logging.getLogger("x").info("line")

pool = ThreadPool(3)
talking = [pool.spawn(talk) for _ in range(3)]
talk()
for each in talking:
    each.get(timeout=20)
log.end()
"""


# The pipe is read while the program runs on: a line of its own tells how far it is.
GATHERS = """
import logging, os, sys
import services.registry.__main__
import gevent
from services.registry.log import GATHER_SECONDS, GatheredLines
from shared.telemetry import configure_logging

configure_logging("registry")
log = GatheredLines.in_place_of_all()
told = logging.getLogger("x")

def mark(word):
    os.write(2, f"-- {word}\\n".encode())

told.info("before the loop"); mark("at once")
log.begin()
told.info("first"); told.info("second"); mark("gathered")
gevent.sleep(GATHER_SECONDS * 4); mark("written by the loop")
told.info("third"); told.warning("a fault"); mark("at once, in order")
told.info("last"); log.end(); mark("at the end")
told.info("after the loop"); mark("at once again")
"""


def test_lines_wait_a_moment_for_each_other_and_warnings_for_nothing() -> None:
    assert [line.rpartition(": ")[2] for line in printed_by(GATHERS)] == [
        "before the loop",
        "-- at once",
        "-- gathered",
        "first",
        "second",
        "-- written by the loop",
        "third",
        "a fault",
        "-- at once, in order",
        "last",
        "-- at the end",
        "after the loop",
        "-- at once again",
    ]


def test_native_threads_and_the_loop_share_the_log() -> None:
    lines = printed_by(PROGRAM)
    assert len(lines) == 4 * LINES
    assert all(line.endswith(" x: line") for line in lines)


def printed_by(program: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-P", "-c", program],
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    lines = done.stderr.splitlines()
    assert done.returncode == 0, lines[-5:]
    return lines
