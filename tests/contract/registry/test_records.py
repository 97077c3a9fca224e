"""What owners do with a job over HTTP: look back, note, cancel, delete."""

from __future__ import annotations

from typing import Any

import pytest

from shared.domain import JobState
from shared.store.jobs import Evidence
from shared.store.schema import chat_job
from tests.contract.registry.conftest import CHAT, Registry, refused

ANSWER = {"choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi"}}]}


def evidence(**changes: Any) -> Evidence:
    values: dict[str, Any] = {
        "chat_url": "http://10.0.0.1:8000/v1/chat/completions",
        "key_fingerprint": "3fa1b2c4",
        "provider_revision": 1,
        "started_at": 100.0,
        "ended_at": 102.5,
        "calls": 1,
        "outcome": "completed",
        "sent": True,
        "connect_seconds": 0.25,
        "first_byte_seconds": 2.0,
        "upstream_status": 200,
        "upstream_request_id": "req-up",
        "prompt_tokens": 5,
        "completion_tokens": 7,
    }
    return Evidence(**values | changes)


def test_the_submitted_messages_can_be_read_back(registry: Registry, slug: str) -> None:
    parts = [{"type": "text", "text": "look"}]
    sent: list[dict[str, Any]] = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": parts, "name": "ann"},
    ]
    job_id = registry.submit(f"{slug}/m", messages=sent)["id"]
    path = f"{CHAT}/{job_id}/messages"
    first, second = registry.get(path).get_json()["data"]
    assert first == {**sent[0], "id": f"{job_id}-0", "content_parts": None}
    assert second == {**sent[1], "id": f"{job_id}-1", "content": None, "content_parts": parts}
    page = registry.get(f"{path}?limit=1&order=desc")
    assert page.get_json()["data"] == [second]
    assert page.get_json()["has_more"] is True
    follows = registry.get(f"{path}?limit=1&order=desc&after={job_id}-1").get_json()
    assert (follows["data"], follows["has_more"]) == ([first], False)


def test_every_attempt_leaves_its_evidence(registry: Registry, slug: str) -> None:
    job_id = registry.submit(f"{slug}/m")["id"]
    (claimed,) = registry.claim(job_id)
    lost = evidence(outcome="upstream_unreachable", sent=False, upstream_status=None)
    registry.finish(claimed, JobState.QUEUED, evidence=lost, error_code=lost.outcome)
    (claimed,) = registry.claim(job_id)
    registry.finish(claimed, JobState.COMPLETED, evidence=evidence(), result=ANSWER)
    first, second = registry.get(f"{CHAT}/{job_id}/attempts").get_json()["data"]
    assert (first["outcome"], first["sent"]) == ("upstream_unreachable", False)
    assert (second["attempt"], second["outcome"]) == (2, "completed")
    assert second["chat_url"] == "http://10.0.0.1:8000/v1/chat/completions"
    assert (second["api_key_fingerprint"], second["provider_revision"]) == ("3fa1b2c4", 1)
    assert second["timings"] == {
        "queued_seconds": None,
        "connect_seconds": 0.25,
        "first_byte_seconds": 2.0,
        "total_seconds": 2.5,
    }
    assert (second["upstream_status"], second["upstream_request_id"]) == (200, "req-up")
    assert second["usage"] == {"prompt_tokens": 5, "completion_tokens": 7}


def test_metadata_can_be_replaced_in_every_state(registry: Registry, slug: str) -> None:
    job_id = registry.submit(f"{slug}/m", metadata={"a": "1"})["id"]
    before = registry.get(f"{CHAT}/{job_id}").headers["ETag"]
    changed = registry.post(f"{CHAT}/{job_id}", {"metadata": {"b": "2"}})
    assert (changed.status_code, changed.get_json()["metadata"]) == (200, {"b": "2"})
    assert changed.headers["ETag"] != before
    registry.completed(job_id, ANSWER)
    assert registry.post(f"{CHAT}/{job_id}", {"metadata": None}).get_json()["metadata"] == {}
    assert registry.job(job_id)["status"] == "completed"


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        ({}, "invalid_value", "metadata"),
        ({"metadata": "x"}, "invalid_value", "metadata"),
        ({"metadata": {"b": "x", "a": 1}}, "invalid_value", "metadata.a"),
        ({"metadata": {str(n): "" for n in range(17)}}, "invalid_value", "metadata"),
        ({"metadata": {}, "model": "x"}, "unknown_field", "model"),
    ],
)
def test_other_changes_are_refused(
    registry: Registry, slug: str, body: dict[str, Any], code: str, param: str
) -> None:
    job_id = registry.submit(f"{slug}/m", metadata={"a": "1"})["id"]
    refused(registry.post(f"{CHAT}/{job_id}", body), 400, code, param)
    assert registry.job(job_id)["metadata"] == {"a": "1"}


def test_a_cancelled_job_is_terminal_at_once_and_a_late_answer_changes_nothing(
    registry: Registry, slug: str
) -> None:
    queued, running = (registry.submit(f"{slug}/m")["id"] for _ in range(2))
    registry.post(f"{CHAT}/{queued}/cancel", b"")
    (claimed,) = registry.claim(running)
    for job_id, billed in ((queued, False), (running, True)):
        answer = registry.post(f"{CHAT}/{job_id}/cancel", b"")
        job = answer.get_json()
        assert (answer.status_code, job["status"]) == (200, "cancelled")
        assert job["error"]["code"] == "cancelled"
        assert job["error"]["may_have_been_billed"] is billed
    with pytest.raises(AssertionError):
        registry.finish(claimed, JobState.COMPLETED, result=ANSWER)
    assert registry.job(running)["status"] == "cancelled"


def test_cancelling_what_has_ended_changes_nothing(registry: Registry, slug: str) -> None:
    job_id = registry.submit(f"{slug}/m")["id"]
    registry.completed(job_id, ANSWER)
    before = registry.get(f"{CHAT}/{job_id}")
    answer = registry.post(f"{CHAT}/{job_id}/cancel", b"")
    assert answer.get_json() == before.get_json()
    assert answer.headers["ETag"] == before.headers["ETag"]


def test_a_deleted_job_is_gone_with_its_attempts(registry: Registry, slug: str) -> None:
    done = registry.submit(f"{slug}/m")["id"]
    (claimed,) = registry.claim(done)
    registry.finish(claimed, JobState.COMPLETED, evidence=evidence(), result=ANSWER)
    running = registry.submit(f"{slug}/m")["id"]
    (claimed,) = registry.claim(running)
    for job_id in (done, running):
        answer = registry.call("DELETE", f"{CHAT}/{job_id}")
        assert answer.get_json() == {
            "id": job_id,
            "object": "chat.completion.deleted",
            "deleted": True,
        }
        refused(registry.get(f"{CHAT}/{job_id}"), 404, "not_found")
        refused(registry.get(f"{CHAT}/{job_id}/attempts"), 404, "not_found")
    with pytest.raises(AssertionError):  # the worker's late answer finds no row, and leaves none
        registry.finish(claimed, JobState.COMPLETED, evidence=evidence(), result=ANSWER)
    assert registry.attempts_of(running) == 0


def test_no_route_shows_or_changes_another_owners_job(registry: Registry, slug: str) -> None:
    job_id = registry.submit(f"{slug}/m", who="ann", metadata={"a": "1"})["id"]
    path = f"{CHAT}/{job_id}"
    calls: list[tuple[str, str, Any]] = [
        ("GET", path, None),
        ("GET", f"{path}/messages", None),
        ("GET", f"{path}/attempts", None),
        ("POST", path, {"metadata": {}}),
        ("POST", f"{path}/cancel", b""),
        ("DELETE", path, None),
    ]
    for method, called, body in calls:
        foreign = registry.call(method, called, body, who="ben")
        unknown = registry.call(method, called.replace(job_id[-4:], "0000"), body, who="ben")
        detail = refused(foreign, 404, "not_found")["detail"]
        assert detail.replace(job_id[-4:], "0000") == refused(unknown, 404, "not_found")["detail"]
    assert job_id not in registry.listed("limit=100", who="ben")
    assert registry.listed(f"provider={slug}", who="ann") == [job_id]
    assert registry.column(chat_job, job_id.removeprefix("chatcmpl-"), "state") == "queued"
    assert registry.job(job_id)["metadata"] == {"a": "1"}
