"""What a caller sees of a job that a running system works on (API.md section 6)."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.api import CHAT, Api, chat_body
from tests.simulators import Running

SOON = 1.0  # seconds in which a change reaches who waits for it


@pytest.fixture
def provider(api: Api, upstream: Running, name: str) -> dict[str, Any]:
    """This test's own provider."""
    return api.add_provider(name, upstream.url, api_key="sk-0123456789abcdef")


@pytest.fixture
def model(provider: dict[str, Any]) -> str:
    return f"{provider['slug']}/sim-model"


def read(api: Api, job_id: str, **headers: str) -> httpx.Response:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return api.http.get(f"{CHAT}/{job_id}", headers=sent)


def test_a_job_is_readable_in_every_state_and_says_when_to_ask_again(
    api: Api, model: str, upstream: Running
) -> None:
    upstream.hold()
    job_id = api.submit(model)
    upstream.wait_until(lambda s: s.in_flight == 1, timeout=5)
    live = read(api, job_id)
    assert (live.status_code, live.json()["status"]) == (200, "in_progress")
    assert (live.headers["Retry-After"], live.json()["attempts"]) == ("2", 1)
    tag = live.headers["ETag"]
    assert read(api, job_id, If_None_Match=tag).status_code == 304
    upstream.release()
    ended = read(api, job_id, Prefer="wait=10")
    assert ended.json()["status"] == "completed"
    assert ended.headers["ETag"] != tag
    assert "Retry-After" not in ended.headers
    assert ended.json()["created"] <= ended.json()["started_at"] <= ended.json()["completed_at"]
    kept = ended.json()["expires_at"] - ended.json()["completed_at"]
    assert kept == 7 * 24 * 3600


def test_who_waits_is_told_of_the_end_at_once(api: Api, model: str) -> None:
    job_id = api.submit(model, sim={"latency": 1})
    ended = read(api, job_id, Prefer="wait=100")
    assert ended.json()["status"] == "completed"
    assert ended.headers["Preference-Applied"] == "wait=60"
    assert time.time() - ended.json()["completed_at"] < 1 + SOON  # it is a whole second


def test_who_names_a_version_is_told_of_any_change_and_else_that_there_was_none(
    api: Api, model: str, upstream: Running
) -> None:
    upstream.hold()
    job_id = api.submit(model)
    upstream.wait_until(lambda s: s.in_flight == 1, timeout=5)
    tag = read(api, job_id).headers["ETag"]
    same = read(api, job_id, If_None_Match=tag, Prefer="wait=1")
    assert same.status_code == 304
    with ThreadPoolExecutor(1) as pool:
        began = time.monotonic()
        waiting = pool.submit(read, api, job_id, If_None_Match=tag, Prefer="wait=10")
        changed = api.http.post(f"{CHAT}/{job_id}", json={"metadata": {"run": "1"}})
        assert changed.status_code == 200
        told = waiting.result()
    assert (told.status_code, told.json()["metadata"]) == (200, {"run": "1"})
    assert time.monotonic() - began < 2 * SOON
    upstream.release()


def test_every_attempt_is_told_with_its_evidence(
    api: Api, provider: dict[str, Any], model: str, upstream: Running
) -> None:
    job_id = api.submit(model, sim={"latency": 0.1})
    api.ended([job_id], 5)
    (attempt,) = api.http.get(f"{CHAT}/{job_id}/attempts").json()["data"]
    assert attempt["chat_url"] == f"{upstream.url}/v1/chat/completions"
    assert attempt["api_key_fingerprint"] == provider["api_key"]["fingerprint"]
    assert attempt["provider_revision"] == provider["revision"]
    assert (attempt["upstream_status"], attempt["sent"], attempt["calls"]) == (200, True, 1)
    took = attempt["timings"]
    assert 0.1 <= took["first_byte_seconds"] <= took["total_seconds"] < 5
    assert 0 <= took["queued_seconds"] < 5
    assert attempt["usage"] == {"prompt_tokens": 7, "completion_tokens": 3}


def test_a_foreground_call_is_not_cancelled_by_its_id(api: Api, model: str) -> None:
    done = api.chat(model).json()
    refused = api.http.post(f"{CHAT}/{done['id']}/cancel")
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "invalid_value")


def test_a_plain_result_is_kept_for_ten_minutes_and_is_in_no_list(api: Api, model: str) -> None:
    done = api.chat(model).json()
    again = read(api, done["id"]).json()
    assert again["choices"] == done["choices"]
    assert again["expires_at"] - again["completed_at"] == 600
    assert api.http.get(CHAT, params={"model": model}).json()["data"] == []


def test_a_deadline_ends_a_job_that_waits_and_names_what_it_waited_for(api: Api, name: str) -> None:
    slug = api.add_provider(f"{name} too", "http://127.0.0.1:9")["slug"]
    job_id = api.submit(f"{slug}/m", background_options={"timeout": 0.5})
    job = api.ended([job_id], 5)[job_id]
    assert (job["status"], job["error"]["code"]) == ("failed", "deadline_exceeded")
    assert "upstream_unreachable" in job["error"]["message"]


def test_the_evidence_of_a_plain_call_that_failed_is_there_too(api: Api, model: str) -> None:
    body = chat_body(model, metadata={"kept": "yes"}, store=True, sim={"status": 500})
    failed = api.http.post(CHAT, json=body)
    assert failed.status_code == 502
    (job,) = api.http.get(CHAT, params={"model": model, "status": "failed"}).json()["data"]
    assert job["error"] == failed.json()["error"]
    (attempt,) = api.http.get(f"{CHAT}/{job['id']}/attempts").json()["data"]
    assert attempt["upstream_status"] == 500
