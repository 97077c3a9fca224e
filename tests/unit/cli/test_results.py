"""The file of results: one line for each chat, whatever interrupted the writing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cli.failures import Failure
from cli.jobs.results import Results


def row(line: int, status: str = "completed") -> dict[str, Any]:
    return {"line": line, "status": status, "idempotency_key": f"k{line}"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "chats.results.jsonl"


def test_what_was_written_is_known_to_the_next_run(path: Path) -> None:
    with Results(path) as results:
        results.add(row(2))
        results.add(row(7, "failed"))
    with Results(path) as again:
        assert (2 in again, 7 in again, 3 in again) == (True, True, False)
        assert again.statuses == {"completed": 1, "failed": 1}
        again.add(row(3))
    assert [json.loads(line)["line"] for line in path.read_text().splitlines()] == [2, 7, 3]


def test_a_line_cut_at_any_byte_is_taken_away_and_written_anew(path: Path) -> None:
    with Results(path) as results:
        results.add(row(1))
        whole = len(path.read_bytes())
        results.add({**row(2), "completion": {"text": "ü\u2028"}})
    text = path.read_bytes()
    for cut in range(whole, len(text)):
        path.write_bytes(text[:cut])
        with Results(path) as results:
            assert (1 in results, 2 in results) == (True, False)
            results.add({**row(2), "completion": {"text": "ü\u2028"}})
        assert path.read_bytes() == text


def test_a_line_gets_no_second_result(path: Path) -> None:
    with Results(path) as results:
        results.add(row(1))
        with pytest.raises(AssertionError):
            results.add(row(1))


@pytest.mark.parametrize(
    "text", ["notes", "notes\n", '{"a": 1}\n', '{"line":1,"status"\n{"line":2,', "[1]\n"]
)
def test_another_s_file_is_refused_and_left_as_it_is(path: Path, text: str) -> None:
    path.write_text(text)
    with pytest.raises(Failure, match="--output"):
        Results(path)
    assert path.read_text() == text


def test_a_result_of_another_text_is_not_taken_for_this_line_s(path: Path) -> None:
    with Results(path) as results:
        results.add(row(1))
        results.check(1, "k1")
        with pytest.raises(Failure, match="line 1 as it was"):
            results.check(1, "k-of-another-text")


def test_one_process_at_a_time_writes(path: Path) -> None:
    with Results(path), pytest.raises(Failure, match="another `jobs submit` is writing"):
        Results(path)
    with Results(path):
        pass
