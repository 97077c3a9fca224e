"""`./dragoman up` with everything that it starts."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import psutil
import pytest

from deploy.processes import PROCESSES
from tests.eventually import eventually
from tests.system import ROOT, System

NAMES = [process.name for process in PROCESSES]


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """One data directory for all tests here."""
    folder = tmp_path_factory.mktemp("up")
    with System(folder / "data", env={"DRAGOMAN_GRACE_SECONDS": "2"}) as running:
        yield running


@pytest.fixture
def system(started: System) -> System:
    """A system that runs, whatever the test before has done to it."""
    return started if started.runner_alive else started.start()


def command(*words: str) -> subprocess.CompletedProcess[str]:
    environ = {k: v for k, v in os.environ.items() if not k.startswith("DRAGOMAN_")}
    return subprocess.run(
        [sys.executable, "-P", "-m", "deploy", *words],
        env={**environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


def family(system: System) -> list[psutil.Process]:
    return psutil.Process(system.runner_pid).children(recursive=True)


def test_ps_shows_what_runs_and_a_killed_worker_comes_back_with_its_restart_counted(
    system: System,
) -> None:
    def shown() -> dict[str, dict[str, object]]:
        done = command("ps", "--json", "--data-dir", str(system.data_dir))
        assert done.returncode == 0, done.stderr
        return {row["name"]: row for row in json.loads(done.stdout)["processes"]}

    assert list(shown()) == NAMES
    assert all(row["restarts"] == 0 and row["state"] == "running" for row in shown().values())
    assert all(psutil.pid_exists(int(str(row["pid"]))) for row in shown().values())
    old = system.signal("discovery-worker", signal.SIGKILL)
    new = system.restarted("discovery-worker", old)
    row = eventually(lambda: shown()["discovery-worker"], 10)
    assert (row["pid"], row["restarts"]) == (new, 1)


def test_a_second_up_on_the_same_data_directory_names_the_first(system: System) -> None:
    done = command("up", "--data-dir", str(system.data_dir), "--port", str(system.port))
    assert done.returncode == 1
    assert f"(pid {system.runner_pid}, {system.url})" in done.stderr
    assert system.api.http.get("/health/ready").status_code == 200


def test_sigterm_stops_everything_in_reverse_order_within_the_grace(system: System) -> None:
    processes = family(system)
    assert len(processes) >= len(NAMES) + 1  # and the watchdog
    assert system.stop() == 0
    assert not [process for process in processes if process.is_running()]
    assert "killed" not in system.output()
    assert command("ps", "--data-dir", str(system.data_dir)).returncode == 3


def test_kill_9_of_up_leaves_no_process_within_5_s_and_the_next_start_works(
    system: System,
) -> None:
    processes = family(system)
    system.kill()

    def all_gone() -> bool:
        return not any(p.is_running() and p.status() != psutil.STATUS_ZOMBIE for p in processes)

    eventually(all_gone, 5)
    assert command("ps", "--data-dir", str(system.data_dir)).returncode == 3
    system.start()
    assert system.api.http.get("/health/ready").status_code == 200
