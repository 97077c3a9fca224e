"""What callers rely on at the edges: unknown ids, unknown fields, keys, health."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.api import CHAT, TERMINAL, Api, chat_body
from tests.eventually import eventually
from tests.simulators import CountingSimulator, Running, running
from tests.system import System

UNKNOWN_ID = "chatcmpl-01J00000000000000000000000"


def _error(answer: httpx.Response) -> dict[str, Any]:
    document = answer.json()
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert document["status"] == answer.status_code
    assert document["detail"] == document["error"]["message"]
    error: dict[str, Any] = document["error"]
    return error


@pytest.mark.parametrize("job_id", [UNKNOWN_ID, "chatcmpl-nonsense", "nonsense"])
def test_an_unknown_id_is_not_found_and_never_queued(api: Api, job_id: str) -> None:
    answer = api.http.get(f"{CHAT}/{job_id}")
    assert answer.status_code == 404
    assert _error(answer)["code"] == "not_found"


def test_an_unknown_provider_field_is_refused_by_name(api: Api, name: str) -> None:
    body = {"name": name, "endpoint": "http://127.0.0.1:9", "colour": "red"}
    answer = api.http.post("/v1/providers", json=body)
    assert answer.status_code == 400
    error = _error(answer)
    assert (error["code"], error["param"]) == ("unknown_field", "colour")
    assert "colour" in error["message"]


def test_unknown_chat_fields_reach_the_upstream_and_ours_do_not(
    api: Api, upstream: Running, name: str
) -> None:
    provider = api.add_provider(name, upstream.url, api_key="sk-upstream-key-0123456789")
    unknown = {"top_k": 5, "guided_json": {"type": "object"}, "x-vendor": [1, None, "ü"]}
    ours = {
        "background": True,
        "store": True,
        "metadata": {"run": "42"},
        "service_tier": "flex",
        "background_options": {"on_interrupt": "retry", "timeout": 60},
    }
    body = {**chat_body(f"{provider['slug']}/sim-model", temperature=0.5), **unknown, **ours}
    answer = api.http.post(CHAT, json=body)
    assert answer.status_code == 202, answer.text
    job = api.ended([answer.json()["id"]], 10)[answer.json()["id"]]
    assert job["status"] == "completed", job
    assert (job["metadata"], job["service_tier"]) == ({"run": "42"}, "flex")
    (seen,) = [r for r in upstream.simulator.requests if r.path == CHAT]
    sent = seen.json()
    assert {key: sent[key] for key in unknown} == unknown
    assert sent["model"] == "sim-model"
    assert sent["temperature"] == 0.5
    assert sent["messages"] == body["messages"]
    assert not set(ours) & set(sent)
    assert seen.bearer == "sk-upstream-key-0123456789"


def test_without_a_provider_key_no_authorization_is_sent(
    api: Api, upstream: Running, name: str
) -> None:
    slug = api.add_provider(name, upstream.url)["slug"]
    assert api.chat(f"{slug}/sim-model").status_code == 200
    eventually(lambda: len(upstream.simulator.requests) >= 2, 5)  # the chat and the model list
    assert [r for r in upstream.simulator.requests if "authorization" in r.headers] == []


def test_a_202_says_where_the_job_is_and_when_to_ask(
    api: Api, upstream: Running, name: str
) -> None:
    slug = api.add_provider(name, upstream.url)["slug"]
    upstream.hold()
    answer = api.http.post(CHAT, json=chat_body(f"{slug}/sim-model", background=True))
    job = answer.json()
    assert answer.status_code == 202
    assert answer.headers["Location"] == f"{CHAT}/{job['id']}"
    assert answer.headers["Retry-After"] == "2"
    assert (job["object"], job["status"], job["choices"]) == ("chat.completion", "queued", [])
    upstream.wait_until(lambda s: s.in_flight == 1, timeout=5)
    assert api.job(job["id"])["status"] == "in_progress"
    upstream.release()
    ended = api.ended([job["id"]], 10)[job["id"]]
    assert (ended["status"], ended["attempts"]) == ("completed", 1)
    assert ended["id"] == job["id"]
    assert ended["usage"] == {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}


@pytest.mark.parametrize("key", [None, "wrong", "dgm_x_y"])
def test_without_a_valid_key_nothing_is_served(system: System, key: str | None) -> None:
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    for path in ("/v1/providers", "/v1/models", f"{CHAT}/{UNKNOWN_ID}"):
        answer = httpx.get(system.url + path, headers=headers)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert _error(answer)["code"] == "invalid_api_key"


def test_health_and_the_description_need_no_key(system: System) -> None:
    assert httpx.get(f"{system.url}/health/live").status_code == 200
    assert httpx.get(f"{system.url}/health/ready").status_code == 200
    assert httpx.get(f"{system.url}/openapi.json").json()["openapi"].startswith("3.1")
    assert httpx.get(f"{system.url}/docs").status_code == 200


def test_a_provider_key_is_never_shown(api: Api, upstream: Running, name: str) -> None:
    key = "sk-canary-0123456789abcdef"
    provider = api.add_provider(name, upstream.url, api_key=key)
    assert provider["api_key"]["last4"] == "cdef"
    texts = [
        api.http.get(path).text
        for path in ("/v1/providers", f"/v1/providers/{provider['id']}", "/v1/models")
    ]
    assert not [text for text in texts if key in text]


def test_max_concurrency_holds_exactly(api: Api, upstream: Running, name: str) -> None:
    slug = api.add_provider(name, upstream.url, options={"max_concurrency": 3})["slug"]
    sim = {"latency": 0.1}
    ids = [api.submit(f"{slug}/sim-model", f"mc-{n}", sim=sim) for n in range(15)]
    jobs = api.ended(ids, 20)
    assert {job["status"] for job in jobs.values()} == {"completed"}
    assert upstream.stats().high_water == 3


def test_a_background_job_waits_out_a_rate_limit_and_then_completes(api: Api, name: str) -> None:
    with running(CountingSimulator()) as sim:
        slug = api.add_provider(name, sim.url)["slug"]
        options = {"status": 429, "retry_after": "2", "good_after": 1}
        job_id = api.submit(f"{slug}/sim-model", "limited", sim=options)

        def parked() -> dict[str, Any] | None:
            job = api.job(job_id)
            assert job["status"] not in TERMINAL, job
            waiting: dict[str, Any] | None = job["waiting_for"]
            return waiting

        waiting = eventually(parked, 5)
        assert waiting["reason"] == "retry_after"
        assert waiting["until"] is not None
        assert api.ended([job_id], 15)[job_id]["status"] == "completed"
        assert sim.calls()["limited"].begun == 2
