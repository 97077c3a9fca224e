"""The registry's log is written by its loop and by native threads, and neither waits for ever."""

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
from services.registry import main
from shared.telemetry import configure_logging

configure_logging("registry")
main._share_log_between_threads()

def talk():
    for number in range({LINES}):
        logging.getLogger("x").info("line")

pool = ThreadPool(3)
talking = [pool.spawn(talk) for _ in range(3)]
talk()
for each in talking:
    each.get(timeout=20)
"""


def test_native_threads_and_the_loop_share_the_log() -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-c", PROGRAM],
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    lines = done.stderr.splitlines()
    assert done.returncode == 0, lines[-5:]
    assert len(lines) == 4 * LINES
    assert all(line.endswith(" x: line") for line in lines)
