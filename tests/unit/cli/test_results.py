"""The file of results: one line for each chat, whatever interrupted the writing."""

from __future__ import annotations

import fcntl
import json
from pathlib import Path
from typing import Any

import pytest

from cli.failures import Failure
from cli.jobs.results import Results


def row(line: int, status: str = "completed", **fields: Any) -> dict[str, Any]:
    key = f"k{line}"
    return {"line": line, "job_id": f"j{line}", "status": status, "idempotency_key": key, **fields}


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


def test_what_failed_is_asked_for_again_and_its_last_result_is_kept(path: Path) -> None:
    with Results(path) as results:
        for one in (row(1), row(2, "failed"), row(3, "cancelled"), row(4, "failed")):
            results.add(one)
    with Results(path, retry=True) as results:
        assert ([n in results for n in (1, 2, 3, 4)], results.retried) == ([True, *[False] * 3], 3)
        assert (len(results), results.statuses) == (1, {"completed": 1})
        assert (results.key_of(2, "k2"), results.key_of(9, "k9")) == ("k2.j2", "k9")
        results.check(2, "k2")
        with pytest.raises(Failure, match="line 2 as it was"):
            results.check(2, "k-of-another-text")
        results.add(row(2, "completed", job_id="j22", idempotency_key="k2.j2"))
        results.add(row(3, "failed", job_id="j33", idempotency_key="k3.j3"))
        assert results.statuses == {"completed": 2, "failed": 1}
        results.check(2, "k2")
    kept = [json.loads(line)["job_id"] for line in path.read_text().splitlines()]
    assert kept == ["j1", "j4", "j22", "j33"]
    assert [one.name for one in path.parent.iterdir()] == [path.name]
    with Results(path, retry=True) as results:
        assert results.key_of(3, "k3") == "k3.j33"
        assert results.retried == 2


def test_a_retry_that_was_killed_goes_on_with_the_same_jobs(path: Path) -> None:
    first = row(1, "failed")
    second = row(1, "failed", job_id="j11", idempotency_key="k1.j1")
    path.write_text("".join(json.dumps(one) + "\n" for one in (first, second)))
    with Results(path, retry=True) as results:
        assert results.key_of(1, "k1") == "k1.j11"
        assert results.statuses == {}
    with Results(path) as results:
        assert (1 in results, results.statuses) == (True, {"failed": 1})
    assert len(path.read_text().splitlines()) == 1


@pytest.mark.parametrize(
    "second",
    [row(1), row(1, idempotency_key="k1.other"), row(1, idempotency_key="k2.j1")],
)
def test_another_result_of_a_line_that_replaces_no_failed_job_is_refused(
    path: Path, second: dict[str, Any]
) -> None:
    path.write_text(f"{json.dumps(row(1, 'failed'))}\n{json.dumps(second)}\n")
    with pytest.raises(Failure, match="each line's once"):
        Results(path)


def test_a_file_that_took_the_place_of_the_one_that_was_opened_is_written_instead(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path.touch()
    flock = fcntl.flock

    def late(descriptor: int, how: int) -> None:
        monkeypatch.setattr(fcntl, "flock", flock)
        path.with_name("new").touch()
        path.with_name("new").replace(path)
        flock(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", late)
    with Results(path) as results:
        results.add(row(1))
    assert json.loads(path.read_text())["line"] == 1
