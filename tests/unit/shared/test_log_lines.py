"""A line of the log tells which request, job and attempt it belongs to; as JSON, to machines."""

from __future__ import annotations

import errno
import json
import logging
import os
import re
import subprocess
import sys
from contextvars import copy_context
from pathlib import Path
from typing import Any

import pytest

from deploy.console import Console
from shared import telemetry
from shared.telemetry import JsonFormatter, LineFormatter, Secret


def record(message: str = "the job failed", *, fault: bool = False, **extra: Any) -> str:
    """A record of these fields, as JSON."""
    return formatted(JsonFormatter("chat-worker"), message, fault=fault, **extra)


def formatted(formatter: logging.Formatter, message: str, *, fault: bool, **extra: Any) -> str:
    info = None
    if fault:
        try:
            raise ValueError("two\nlines")
        except ValueError:
            info = sys.exc_info()
    made = logging.getLogger("x.y").makeRecord(
        "x.y", logging.WARNING, "f.py", 1, message, (), info, extra=extra
    )
    return formatter.format(made)


@pytest.fixture
def served() -> Any:
    """What runs something as the serving of one attempt."""

    def run(call: Any) -> Any:
        telemetry.request_id.set("req_1")
        telemetry.job_id.set("01JOB")
        telemetry.attempt.set(2)
        return call()

    return lambda call: copy_context().run(run, call)


def test_a_json_line_has_when_who_and_what_and_the_ids(served: Any) -> None:
    line = served(lambda: record(provider="acme", code="upstream_timeout"))
    found = json.loads(line)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", found.pop("time"))
    assert found == {
        "level": "WARNING",
        "service": "chat-worker",
        "logger": "x.y",
        "message": "the job failed",
        "provider": "acme",
        "code": "upstream_timeout",
        "request_id": "req_1",
        "job_id": "01JOB",
        "attempt": 2,
    }


def test_the_line_for_people_has_the_same_ids(served: Any) -> None:
    line = served(lambda: formatted(LineFormatter("chat-worker"), "m", fault=False))
    assert line.endswith("WARNING chat-worker x.y: m request_id=req_1 job_id=01JOB attempt=2")


def test_a_record_that_says_whose_it_is_is_believed(served: Any) -> None:
    assert json.loads(served(lambda: record(job_id="01OTHER")))["job_id"] == "01OTHER"


def test_whatever_is_logged_is_one_line_of_json() -> None:
    line = record('two\nlines, a "quote" and \u2028', fault=True, jobs=["a"], far={1}, none=None)
    assert len(line.splitlines()) <= 2  # str.splitlines knows U+2028; readers of lines do not
    assert "\n" not in line
    found = json.loads(line)
    assert found["message"] == 'two\nlines, a "quote" and \u2028'
    assert found["exception"].endswith("ValueError: two\nlines")
    assert (found["jobs"], found["far"], found["none"]) == (["a"], "{1}", None)


def test_a_secret_stays_one_and_no_field_takes_the_place_of_the_head() -> None:
    found = json.loads(record(key=Secret("sk-canary"), level="FATAL", service="other"))
    assert found["key"] == "***" or "canary" not in found["key"]
    assert (found["level"], found["service"]) == ("WARNING", "chat-worker")


def test_up_prints_json_only_when_the_log_is_json(capfd: pytest.CaptureFixture[str]) -> None:
    ours = record()
    console = Console(["dragoman", "valkey"], "json")
    for line in (ours, "1:M 22 Nov * Ready", "{no JSON of ours}"):
        console.write("valkey", line)
    printed = capfd.readouterr().err.splitlines()
    assert printed[0] == ours
    told = [json.loads(line) for line in printed[1:]]
    assert [line["message"] for line in told] == ["1:M 22 Nov * Ready", "{no JSON of ours}"]
    assert {line["service"] for line in told} == {"valkey"}
    Console(["dragoman", "valkey"]).write("valkey", "Ready")
    assert capfd.readouterr().err == "valkey   | Ready\n"


def test_lines_that_do_not_fit_on_the_logs_disk_are_counted_and_later_ones_told(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    room, write = [8], os.write

    def narrow(fd: int, text: bytes) -> int:
        if not room:
            return write(fd, text)
        if room[0] == 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        room[0], fits = 0, room[0]
        return write(fd, text[:fits])

    monkeypatch.setattr("deploy.console.os.write", narrow)
    console = Console(["dragoman"])
    console.write("dragoman", "cut in its middle")
    console.write("dragoman", "lost", "lost, too")
    room.clear()
    console.write("dragoman", "told", "and told")
    assert capfd.readouterr().err.splitlines() == [
        "dragoman",
        "dragoman | 3 lines were lost: the log's disk was full",
        "dragoman | told",
        "dragoman | and told",
    ]


def test_what_libraries_tell_of_their_normal_work_is_left_out_and_what_goes_wrong_is_not() -> None:
    program = (
        "import logging; from shared.telemetry import CHATTY, configure_logging;"
        "configure_logging('any');"
        "[logging.getLogger(name).info('as usual') for name in CHATTY];"
        "[logging.getLogger(name).error('broken') for name in CHATTY]"
    )
    told = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[3],
        check=True,
    )
    assert "as usual" not in told.stderr
    assert told.stderr.count("broken") == len(telemetry.CHATTY)


def test_connections_that_the_registry_closes_are_not_told_of(tmp_path: Path) -> None:
    """SQLAlchemy tells of them in the name of our pool's class."""
    program = (
        "from services.registry.database import open_database;"
        "from shared import config, telemetry;"
        "telemetry.configure_logging('any');"
        "database = open_database(config.load({'DRAGOMAN_DATA_DIR': '.'}));"
        "reading = database.read();"
        "reading.__enter__().invalidate();"
        "database.dispose()"
    )
    told = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
        check=True,
    )
    assert told.stderr == ""
