"""What `up` prints of what its processes say."""

from __future__ import annotations

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
