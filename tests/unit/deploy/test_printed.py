"""What `up` prints of what its processes say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from deploy.up import System
from shared.config import load


def test_empty_lines_and_what_is_no_news_of_valkey_are_left_out(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    system = System(load({"DRAGOMAN_DATA_DIR": str(tmp_path)}), {})
    system._write("chat-worker", "")
    system._write("chat-worker", "worker: Warm shutdown (MainProcess)")
    system._write("valkey", "1:M # WARNING Memory overcommit must be enabled! …")
    system._write("registry", "1:M # WARNING Memory overcommit must be enabled! …")
    printed = [line.split(" | ") for line in capfd.readouterr().err.splitlines()]
    assert [(name.strip(), text[:6]) for name, text in printed] == [
        ("chat-worker", "worker"),
        ("registry", "1:M # "),
    ]


def test_a_line_of_the_runners_own_has_the_level_that_it_was_told_with(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    environ = {"DRAGOMAN_DATA_DIR": str(tmp_path), "DRAGOMAN_LOG_FORMAT": "json"}
    system = System(load(environ), {})
    system._write("dragoman", "restarting chat-worker")
    system._write("dragoman", "chat-worker was ended by SIGKILL; …", level="WARNING")
    printed = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    assert [line["level"] for line in printed] == ["INFO", "WARNING"]
