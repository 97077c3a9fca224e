"""What `ps` makes of a run file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from deploy.ps import document, show, spelled, table
from deploy.refusal import Refusal
from deploy.runfile import ProcessEntry, Run, RunFile

URL = "http://127.0.0.1:8642"


@pytest.fixture
def run() -> Run:
    processes = [
        ProcessEntry("registry", pid=41, started_at=1000.0, restarts=2, state="running"),
        ProcessEntry("beat", pid=None, started_at=1000.0, restarts=7, state="waiting"),
    ]
    return Run(40, 990.0, "ready", URL, "/somewhere/admin.key", None, processes)


def test_people_see_name_pid_uptime_and_restarts(run: Run) -> None:
    assert table(run, now=1187.0).splitlines() == [
        "http://127.0.0.1:8642 (ready, pid 40)",
        "NAME      PID  UPTIME  RESTARTS  STATE",
        "registry  41   3m07s   2         running",
        "beat      -    -       7         waiting",
    ]


def test_programs_get_the_run_file_with_uptimes(run: Run) -> None:
    shown = document(run, now=1187.5)
    assert shown["url"] == URL
    assert shown["processes"] == [
        {
            "name": "registry",
            "pid": 41,
            "started_at": 1000.0,
            "restarts": 2,
            "state": "running",
            "uptime": 187.5,
        },
        {
            "name": "beat",
            "pid": None,
            "started_at": 1000.0,
            "restarts": 7,
            "state": "waiting",
            "uptime": None,
        },
    ]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.9, "0s"),
        (59, "59s"),
        (60, "1m00s"),
        (3599, "59m59s"),
        (7500, "2h05m"),
        (349_200, "4d01h"),
    ],
)
def test_a_duration_is_spelled_in_its_two_largest_units(seconds: float, text: str) -> None:
    assert spelled(seconds) == text


def test_a_run_file_means_something_only_while_its_lock_is_held(
    tmp_path: Path, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    file = RunFile(tmp_path)
    with file.held():
        file.write(run)
        assert show(tmp_path, as_json=True) == 0
        assert json.loads(capsys.readouterr().out)["pid"] == 40
    assert file.path.exists(), "as after a kill -9"
    assert show(tmp_path, as_json=True) == 3
    assert "not running" in capsys.readouterr().err


def test_a_directory_where_nothing_ever_ran_is_not_running(tmp_path: Path) -> None:
    assert show(tmp_path / "none", as_json=False) == 3


def test_a_second_holder_is_told_who_the_first_is(tmp_path: Path, run: Run) -> None:
    file = RunFile(tmp_path)
    with file.held():
        file.write(run)
        with pytest.raises(Refusal, match=r"already running on .* \(pid 40, http://"), file.held():
            raise AssertionError("held twice")


def test_the_run_file_survives_a_round_trip(tmp_path: Path, run: Run) -> None:
    file = RunFile(tmp_path)
    file.write(run)
    assert file.read() == run
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]
