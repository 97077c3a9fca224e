"""Jobs over HTTP: how they read in every state, and what a call that waits is answered."""

from __future__ import annotations

import json
import time
from typing import Any

import gevent
import pytest

from shared.domain import GateReason, JobState
from tests.contract.registry.conftest import CHAT, Registry, chat_body, refused

ANSWER = {
    "id": "cmpl-theirs",
    "object": "chat.completion",
    "created": 7,
    "model": "theirs",
    "choices": [{"index": 0, "message": {"role": "assistant", "reasoning": "…", "n": 1.0}}],
    "usage": {"total_tokens": 10, "x": {"y": 1}},
    "system_fingerprint": "fp",
    "provider": "their own",
    "upstream": {"nested": True},
}


def test_an_answer_is_shown_as_it_came_under_fields_of_ours(registry: Registry, slug: str) -> None:
    job = registry.submit(f"{slug}/m")
    registry.completed(job["id"], ANSWER)
    answer = registry.get(f"{CHAT}/{job['id']}")
    read = answer.get_json()
    assert "Retry-After" not in answer.headers
    assert answer.headers["ETag"] != 'W/"1"'
    assert (read["status"], read["attempts"], read["queue_position"]) == ("completed", 1, None)
    assert (read["id"], read["model"], read["created"]) == (job["id"], f"{slug}/m", job["created"])
    assert read["choices"] == ANSWER["choices"]
    assert b'"n":1.0' in answer.data.replace(b" ", b"")
    assert (read["usage"], read["system_fingerprint"]) == (ANSWER["usage"], "fp")
    assert read["upstream"] == {
        name: ANSWER[name] for name in ("id", "object", "created", "model", "provider", "upstream")
    }
    assert read["started_at"] <= read["completed_at"] < read["expires_at"]


def test_usage_that_was_not_reported_is_null(registry: Registry, slug: str) -> None:
    job = registry.submit(f"{slug}/m")
    registry.completed(job["id"], {"choices": []})
    read = registry.job(job["id"])
    assert (read["usage"], read["upstream"]) == (None, {})


def test_a_failed_job_reads_as_200_with_its_stored_error(registry: Registry, slug: str) -> None:
    job = registry.submit(f"{slug}/m")
    (claimed,) = registry.claim(job["id"])
    error = {"message": "m", "type": "upstream_error", "code": "upstream_timeout", "param": None}
    registry.finish(claimed, JobState.FAILED, error_code="upstream_timeout", error=error)
    answer = registry.get(f"{CHAT}/{job['id']}")
    assert (answer.status_code, answer.get_json()["error"]) == (200, error)
    assert (answer.get_json()["status"], answer.get_json()["choices"]) == ("failed", [])


def test_an_error_without_text_of_its_own_has_the_standard_sentence(
    registry: Registry, slug: str
) -> None:
    job = registry.submit(f"{slug}/m")
    (claimed,) = registry.claim(job["id"])
    registry.finish(claimed, JobState.FAILED, error_code="interrupted", may_have_been_billed=True)
    error = registry.job(job["id"])["error"]
    assert error.pop("message").startswith("The call was cut off")
    assert error == {
        "type": "server_error",
        "code": "interrupted",
        "param": None,
        "may_have_been_billed": True,
    }


def test_a_current_copy_of_a_job_is_not_sent_again(registry: Registry, slug: str) -> None:
    job = registry.submit(f"{slug}/m")
    path = f"{CHAT}/{job['id']}"
    answer = registry.get(path, If_None_Match='W/"1"')
    assert (answer.status_code, answer.data, answer.headers["ETag"]) == (304, b"", 'W/"1"')
    registry.claim(job["id"])
    assert registry.get(path, If_None_Match='W/"1"').get_json()["status"] == "in_progress"


def test_places_in_the_queue_are_counted_by_provider(registry: Registry, slug: str) -> None:
    ids = [registry.submit(f"{slug}/m")["id"] for _ in range(3)]
    registry.submit(f"{registry.add()['slug']}/m")
    assert [registry.job(job_id)["queue_position"] for job_id in ids] == [1, 2, 3]


def test_a_job_says_why_it_waits(registry: Registry) -> None:
    busy, gated = registry.add(options={"max_concurrency": 1}), registry.add()
    first, second = (registry.submit(f"{busy['slug']}/m")["id"] for _ in range(2))
    registry.claim(first, second)
    assert registry.job(first)["waiting_for"] is None
    assert registry.job(second)["waiting_for"] == {
        "reason": "provider_busy",
        "until": None,
        "cause": None,
    }
    until = int(time.time()) + 60
    registry.gate(gated["id"], GateReason.RETRY_AFTER, until + 0.5)
    waits = registry.submit(f"{gated['slug']}/m")
    fails = registry.submit(f"{gated['slug']}/m", background_options={"on_unavailable": "fail"})
    assert waits["waiting_for"] == {
        "reason": "retry_after",
        "until": until,
        "cause": "x",
    }
    assert fails["waiting_for"] is None


def test_an_owner_sees_no_job_of_another_and_an_admin_sees_all(
    registry: Registry, slug: str
) -> None:
    job = registry.submit(f"{slug}/m", who="ann")
    path = f"{CHAT}/{job['id']}"
    foreign = refused(registry.get(path, who="ben"), 404, "not_found")
    assert registry.get(path, who="ann").status_code == 200
    assert registry.get(path).status_code == 200
    unknown_id = job["id"][:-4] + "0000"
    unknown = refused(registry.get(f"{CHAT}/{unknown_id}", who="ben"), 404, "not_found")
    assert json.dumps(foreign) == json.dumps(unknown).replace(unknown_id, job["id"])


@pytest.mark.parametrize(
    "job_id", ["x", "chatcmpl-x", "%00", "chatcmpl-01J0000000000000000000000O"]
)
def test_what_is_no_id_is_not_found(registry: Registry, job_id: str) -> None:
    refused(registry.get(f"{CHAT}/{job_id}"), 404, "not_found")


def foreground(registry: Registry, model: str, end: Any, **fields: Any) -> Any:
    """The answer of a plain call whose job `end` ends, as a worker would, once it is queued."""
    call = gevent.spawn(registry.post, CHAT, chat_body(model, **fields))
    with gevent.Timeout(10):
        while not registry.parts.waiting._waits:
            gevent.sleep(0.005)
        (bare,) = registry.parts.waiting._waits
        while not (claimed := registry.claim(f"chatcmpl-{bare}")):
            gevent.sleep(0.005)
        end(claimed[0])
        registry.parts.waiting.look()
        return call.get()


def test_a_plain_call_answers_with_the_completion(registry: Registry, slug: str) -> None:
    def end(claimed: Any) -> None:
        assert (claimed.on_unavailable, claimed.background) == ("fail", False)
        assert claimed.deadline - time.time() == pytest.approx(590, abs=5)
        registry.finish(claimed, JobState.COMPLETED, result=ANSWER)

    answer = foreground(registry, f"{slug}/m", end, background_options={"timeout": 3000})
    assert answer.status_code == 200
    assert answer.get_json()["choices"] == ANSWER["choices"]
    assert answer.get_json()["status"] == "completed"
    assert answer.get_json() == registry.job(answer.get_json()["id"])


@pytest.mark.parametrize(
    ("code", "extra", "status", "type_"),
    [
        ("upstream_timeout", {"phase": "connect"}, 504, "upstream_error"),
        ("upstream_refused", {"upstream_status": 422}, 422, "upstream_error"),
        ("upstream_refused", {"upstream_status": 418}, 502, "upstream_error"),
        ("upstream_unreachable", {}, 502, "upstream_error"),
        ("interrupted", {}, 502, "server_error"),
        ("cancelled", {}, 409, "server_error"),
    ],
)
def test_a_plain_call_answers_a_failure_with_its_status_and_forbids_repeats(
    registry: Registry, slug: str, code: str, extra: dict[str, Any], status: int, type_: str
) -> None:
    error = {"message": "m", "type": type_, "code": code, "param": None, **extra}
    error["may_have_been_billed"] = True

    def end(claimed: Any) -> None:
        registry.finish(claimed, JobState.FAILED, error_code=code, error=error)

    answer = foreground(registry, f"{slug}/m", end)
    problem = refused(answer, status, code)
    assert problem["error"] == error
    assert answer.headers["x-should-retry"] == "false"


def test_a_rate_limit_is_passed_on_with_its_time(registry: Registry) -> None:
    made = registry.add()
    error = {"message": "m", "type": "upstream_error", "code": "upstream_rate_limited"}

    def end(claimed: Any) -> None:
        registry.gate(made["id"], GateReason.RETRY_AFTER, time.time() + 30)
        registry.finish(claimed, JobState.FAILED, error_code="upstream_rate_limited", error=error)

    answer = foreground(registry, f"{made['slug']}/m", end)
    refused(answer, 429, "upstream_rate_limited")
    assert 28 <= int(answer.headers["Retry-After"]) <= 30
