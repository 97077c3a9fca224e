"""The process table is written once; what the docs say is compared with it."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path

import pytest

from deploy.processes import PROCESSES, VALKEY, Process
from shared.config import load

ROOT = Path(__file__).parents[3]


def documented(process: Process) -> tuple[str, ...]:
    command = f"`python -m {process.module}`" if process.module else "`valkey-server`"
    stop = f"{process.stop_seconds:g}"
    time = f"`DRAGOMAN_GRACE_SECONDS` + {stop} s" if process.waits_for_calls else f"{stop} s"
    return (process.name, command, process.purpose, process.scale, time)


def test_the_running_page_lists_exactly_the_process_table_in_its_order() -> None:
    page = (ROOT / "docs" / "running.md").read_text()
    section = page.split("## Processes")[1].split("\n## ")[0]
    rows = [tuple(line.strip("|").split("|")) for line in re.findall(r"^\|[a-z].*", section, re.M)]
    assert rows == [documented(process) for process in PROCESSES]


@pytest.mark.parametrize("process", [p for p in PROCESSES if p.module], ids=lambda p: p.name)
def test_every_process_of_the_table_can_be_started(process: Process) -> None:
    assert process.module
    spec = find_spec(process.module)
    assert spec is not None
    if spec.submodule_search_locations is not None:
        assert find_spec(f"{process.module}.__main__") is not None
    # The caller's working directory must not be a place to import from.
    assert process.command()[1:] == ("-P", "-m", process.module)


def test_the_chat_worker_has_5_s_more_than_the_grace_and_the_others_do_not_wait_for_calls() -> None:
    settings = load({"DRAGOMAN_GRACE_SECONDS": "120"})
    times = {process.name: process.stop_within(settings) for process in PROCESSES}
    assert times.pop("chat-worker") == 125
    assert max(times.values()) <= 15


def test_valkey_starts_before_and_stops_after_everyone_else() -> None:
    assert PROCESSES[0] is VALKEY
