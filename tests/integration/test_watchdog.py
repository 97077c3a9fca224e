"""When the runner dies, however it dies, nothing of it stays."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests.eventually import eventually
from tests.integration.stage import Events, Stage, alive, dummy, perform, soon

ROOT = Path(__file__).parents[2]


@pytest.fixture
def events(tmp_path: Path) -> Events:
    return Events(tmp_path)


@contextmanager
def runner(folder: Path, *how: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "tests.integration.guarded", str(folder), *how],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
    )
    with process:
        assert process.stdout
        try:
            yield process
        finally:
            process.kill()


def ready(process: subprocess.Popen[bytes]) -> None:
    assert process.stdout
    assert process.stdout.readline() == b"ready\n"


def test_kill_9_of_the_runner_leaves_no_process_within_5_s(tmp_path: Path, events: Events) -> None:
    with runner(tmp_path, "hard") as process:
        ready(process)
        family = [child.pid for child in psutil.Process(process.pid).children(recursive=True)]
        eventually(lambda: events.pids("d-child"), 5)
        everyone = {*family, *events.pids()}
        assert len(everyone) == 6  # the watchdog, a, b, c, d and the child of d
        process.kill()
        begin = time.monotonic()
        eventually(lambda: not list(alive(list(everyone))), 5)
    assert "a stopped" in events.words(), "SIGTERM comes before SIGKILL"
    assert time.monotonic() - begin > 1.5, "stubborn ones get time before SIGKILL"


@pytest.mark.parametrize("milliseconds", [60, 100, 140])
def test_a_kill_in_the_middle_of_the_start_leaves_nothing_either(
    tmp_path: Path, events: Events, milliseconds: int
) -> None:
    with runner(tmp_path) as process:
        eventually(lambda: (tmp_path / "watchdog.lock").exists(), 5, every=0.001)
        time.sleep(milliseconds / 1000)  # the moment of the kill is what varies here
        process.kill()
    folder = f"{tmp_path}/"

    def nothing_left() -> bool:
        return not any(
            folder in " ".join(process.info["cmdline"] or ())
            for process in psutil.process_iter(["cmdline"])
        )

    eventually(nothing_left, 5)


def test_the_next_runner_waits_until_the_watchdog_of_a_killed_one_is_done(
    tmp_path: Path, events: Events
) -> None:
    with runner(tmp_path, "hard") as first:
        ready(first)
        old = events.pids()
        first.kill()
        with runner(tmp_path) as second:
            ready(second)
            assert not list(alive(old))


def test_a_watchdog_that_was_killed_is_replaced_and_knows_everyone(
    tmp_path: Path, events: Events
) -> None:
    with runner(tmp_path) as process:
        ready(process)
        parent = psutil.Process(process.pid)
        before = {child.pid for child in parent.children()}
        [watchdog] = [c for c in parent.children() if "watchdog.py" in " ".join(c.cmdline())]
        watchdog.kill()
        eventually(lambda: {child.pid for child in parent.children()} - before, 5)
        [new] = [c for c in parent.children() if c.pid not in before]
        eventually(lambda: "watchdog.py" in " ".join(new.cmdline()), 5)
        eventually(lambda: tmp_path.joinpath("watchdog.lock").exists() and new.is_running(), 5)
        time.sleep(0.2)  # it reads its first lines; nothing outside shows when it has
        process.kill()
        eventually(lambda: not list(alive([*events.pids(), new.pid])), 5)


def test_a_runner_that_stops_by_itself_takes_its_watchdog_along(
    tmp_path: Path, events: Events
) -> None:
    async def play(stage: Stage) -> None:
        await stage.runner.start()
        await soon(lambda: any(_watchdogs()))

    perform(tmp_path, [dummy("a", events.file)], play)
    assert not list(_watchdogs())


def _watchdogs() -> list[int]:
    children = psutil.Process().children()
    return [c.pid for c in children if "watchdog.py" in " ".join(c.cmdline())]


def test_sigterm_to_the_watchdog_alone_changes_nothing(tmp_path: Path, events: Events) -> None:
    async def play(stage: Stage) -> None:
        await stage.runner.start()
        [watchdog] = _watchdogs()
        os.kill(watchdog, signal.SIGTERM)
        await soon(lambda: list(alive([watchdog])))
        assert list(alive(events.pids()))

    perform(tmp_path, [dummy("a", events.file)], play)
