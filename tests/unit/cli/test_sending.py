"""`jobs submit` against a server that is full, away, or refuses."""

from __future__ import annotations

import json
import time
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import pytest

from cli.exits import Exit
from cli.jobs import sending
from tests.unit.cli.scene import Scene, job, listed, refused


@pytest.fixture
def chats(tmp_path: Path) -> Path:
    """Five lines."""
    path = tmp_path / "chats.jsonl"
    body: dict[str, Any] = {"model": "acme/m", "messages": []}
    path.write_text("".join(f"{json.dumps({**body, 'seed': n})}\n" for n in range(1, 6)))
    return path


class Server:
    """Accepts every chat, after what `before` does to it; `jobs` by the key of their line."""

    def __init__(self, *before: httpx.Response | Exception | None, polls: int = 0) -> None:
        self._before = list(before)
        self._polls = polls
        self.jobs: Counter[str] = Counter()
        self.polled: Counter[str] = Counter()

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.method == "GET" and "limit" in request.url.params:
            return listed()
        trouble = self._before.pop(0) if self._before else None
        if isinstance(trouble, Exception):
            raise trouble
        if trouble is not None:
            return trouble
        if request.method == "GET":
            job_id = request.url.path.rpartition("/")[2]
            self.polled[job_id] += 1
            status = "in_progress" if self.polled[job_id] < self._polls else "completed"
            return httpx.Response(200, json=job(job_id, status))
        key = request.headers["Idempotency-Key"]
        self.jobs[key] += 1
        status = "queued" if self._polls else "completed"
        return httpx.Response(202, json=job(f"chatcmpl-{key[:12]}", status))


def results(chats: Path) -> list[dict[str, Any]]:
    text = chats.with_name("chats.results.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


@pytest.fixture(autouse=True)
def no_rests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "SHORTEST_REST", 0.001)
    monkeypatch.setattr(sending, "LONGEST_REST", 0.001)


def test_each_line_is_one_request_where_it_ends_soon(scene: Scene, chats: Path) -> None:
    scene.handler = server = Server()
    ran = scene.run("jobs", "submit", str(chats), "--json")
    assert ran.exit is Exit.OK
    assert json.loads(ran.out)["statuses"] == {"completed": 5}
    assert sorted(row["line"] for row in results(chats)) == [1, 2, 3, 4, 5]
    assert set(server.jobs.values()) == {1}
    posts = [request for request in scene.requests if request.method == "POST"]
    assert {request.headers["Prefer"] for request in posts} == {"wait=60"}
    assert len(scene.requests) == 1 + 5  # the first only asks whether it may


def test_a_job_that_takes_longer_is_waited_for_by_long_polls(scene: Scene, chats: Path) -> None:
    scene.handler = server = Server(polls=3)
    assert scene.run("jobs", "submit", str(chats)).exit is Exit.OK
    assert set(server.polled.values()) == {3}
    assert set(server.jobs.values()) == {1}


def test_no_more_than_asked_for_are_unfinished_at_once(scene: Scene, chats: Path) -> None:
    scene.handler = server = Server(polls=2)
    scene.run("jobs", "submit", str(chats), "--at-once", "1")
    asked = [request.method for request in scene.requests[1:]]
    assert asked == ["POST", "GET", "GET"] * 5
    assert len(server.jobs) == 5


@pytest.mark.parametrize(
    "trouble",
    [
        httpx.ReadError("reset"),
        refused(503, code="store_unavailable"),
        httpx.Response(502, html="<h1>Bad Gateway</h1>"),
        refused(500, code="internal_error"),
    ],
    ids=["connection lost", "store away", "proxy alone", "defect"],
)
def test_what_passes_is_tried_again_with_the_same_key(
    scene: Scene, chats: Path, trouble: httpx.Response | Exception
) -> None:
    scene.handler = Server(trouble)
    assert scene.run("jobs", "submit", str(chats), "--at-once", "1").exit is Exit.OK
    keys = [r.headers.get("Idempotency-Key") for r in scene.requests[1:]]
    assert len(keys) == 6
    assert keys[0] == keys[1]
    assert len(results(chats)) == 5


def test_a_full_queue_is_waited_for_by_all_as_long_as_it_says(scene: Scene, chats: Path) -> None:
    full = refused(429, code="queue_full", headers={"Retry-After": "1"})
    server, asked = Server(full), list[float]()

    def handle(request: httpx.Request) -> httpx.Response:
        asked.append(time.monotonic())
        return server(request)

    scene.handler = handle
    assert scene.run("jobs", "submit", str(chats), "--at-once", "1").exit is Exit.OK
    assert asked[2] - asked[1] >= 1
    assert set(server.jobs.values()) == {1}
    assert len(asked) == 1 + 1 + 5


def test_what_the_server_does_not_take_is_no_result_and_is_tried_by_the_next_run(
    scene: Scene, chats: Path
) -> None:
    unknown = refused(404, "No model 'acme/m'.", code="model_not_found", param="model")
    scene.handler = Server(unknown)
    ran = scene.run("jobs", "submit", str(chats), "--at-once", "1")
    assert ran.exit is Exit.FAILED
    assert "line 1: No model 'acme/m'. (at model, code model_not_found" in ran.err
    assert [row["line"] for row in results(chats)] == [2, 3, 4, 5]
    scene.handler = server = Server()
    assert scene.run("jobs", "submit", str(chats)).exit is Exit.OK
    assert len(server.jobs) == 1
    assert sorted(row["line"] for row in results(chats)) == [1, 2, 3, 4, 5]


def test_a_run_whose_results_were_lost_asks_for_the_same_jobs(scene: Scene, chats: Path) -> None:
    scene.handler = server = Server()
    assert scene.run("jobs", "submit", str(chats)).exit is Exit.OK
    chats.with_name("chats.results.jsonl").unlink()
    assert scene.run("jobs", "submit", str(chats)).exit is Exit.OK
    assert sorted(server.jobs.values()) == [2] * 5
    assert len(results(chats)) == 5


def test_a_key_that_ends_ends_the_run(scene: Scene, chats: Path) -> None:
    scene.handler = Server(None, None, refused(401, "revoked"))
    ran = scene.run("jobs", "submit", str(chats), "--at-once", "1")
    assert ran.exit is Exit.NOT_ALLOWED
    assert len(results(chats)) == 2


def test_a_run_that_is_only_refused_stops_early(
    scene: Scene, chats: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "MOST_REFUSED", 3)
    scene.handler = Server(*[refused(400)] * 5)
    ran = scene.run("jobs", "submit", str(chats), "--at-once", "1")
    assert ran.exit is Exit.FAILED
    assert len(scene.requests) == 1 + 3


def test_who_hears_nothing_for_long_gives_up_and_keeps_what_is_there(
    scene: Scene, chats: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "PATIENCE", 0.05)
    scene.handler = Server(None, *[httpx.ConnectError("refused")] * 1_000)
    assert scene.run("jobs", "submit", str(chats), "--at-once", "1").exit is Exit.UNREACHABLE
    assert len(results(chats)) == 1


def test_failed_jobs_are_results_and_end_the_run_with_6(scene: Scene, chats: Path) -> None:
    error = {"message": "It fell over.", "code": "upstream_server_error"}
    failed = httpx.Response(200, json=job(status="failed", error=error))
    scene.handler = Server(failed)
    ran = scene.run("jobs", "submit", str(chats), "--at-once", "1")
    assert ran.exit is Exit.JOB_FAILED
    first = results(chats)[0]
    assert (first["line"], first["status"], first["completion"]) == (1, "failed", None)
    assert first["error"] == error
    assert "\n  1: It fell over.\n" in ran.err
    assert scene.run("jobs", "submit", str(chats)).exit is Exit.JOB_FAILED
    assert len(results(chats)) == 5


def test_of_many_reasons_the_most_frequent_are_told(scene: Scene, chats: Path) -> None:
    path = chats.with_name("chats.results.jsonl")
    chats.write_text(chats.read_text().partition("\n")[0] + "\n")
    scene.handler = Server()
    scene.run("jobs", "submit", str(chats))
    rows = results(chats)
    for number in range(2, 12):
        error = {"message": f"Reason {min(number, 8)}\x1b[2J"}
        key = f"k{number}"
        row = {**rows[0], "line": number, "status": "failed", "error": error}
        rows.append({**row, "idempotency_key": key})
    path.write_text("".join(json.dumps(row, separators=(",", ":")) + "\n" for row in rows))
    ran = scene.run("jobs", "submit", str(chats))
    told = ran.err.splitlines()
    assert (ran.exit, len([line for line in told if ": Reason" in line])) == (Exit.JOB_FAILED, 5)
    assert next(line for line in told if ": Reason" in line).startswith("  4: Reason 8")
    assert "\x1b" not in ran.err
    assert told[-1] == "  and 2 other reasons"


def test_failed_lines_get_other_jobs_where_that_is_asked_for(scene: Scene, chats: Path) -> None:
    failed = httpx.Response(200, json=job("chatcmpl-9", "failed", error={"code": "x"}))
    scene.handler = Server(failed)
    ran = scene.run("jobs", "submit", str(chats), "--at-once", "1")
    assert "--retry-failed" in ran.err
    key = results(chats)[0]["idempotency_key"]
    scene.handler = server = Server()
    ran = scene.run("jobs", "submit", str(chats), "--retry-failed")
    assert (ran.exit, dict(server.jobs)) == (Exit.OK, {f"{key}.chatcmpl-9": 1})
    assert "1 failed before, tried again now" in ran.err
    assert [row["line"] for row in results(chats)] == [2, 3, 4, 5, 1]
    assert {row["status"] for row in results(chats)} == {"completed"}
    assert scene.run("jobs", "submit", str(chats)).exit is Exit.OK
    assert len(server.jobs) == 1


def test_a_wrong_key_or_address_is_told_before_anything_is_sent(scene: Scene, chats: Path) -> None:
    assert scene.answering(refused(401)).run("jobs", "submit", str(chats)).exit is Exit.NOT_ALLOWED
    assert [request.method for request in scene.requests] == ["GET"]
