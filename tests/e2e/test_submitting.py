"""What a caller of `POST /v1/chat/completions` sees of a running system (API.md section 5)."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.api import CHAT, Api, chat_body
from tests.eventually import eventually
from tests.simulators import (
    CountingSimulator,
    Mode,
    Running,
    Simulator,
    gemini,
    llama_cpp,
    ollama,
    running,
    vllm,
)
from tests.system import System

OURS = {
    *("id", "object", "created", "model", "status", "background", "metadata", "service_tier"),
    *("provider", "error", "attempts", "waiting_for", "webhook", "queue_position"),
    *("started_at", "completed_at", "expires_at"),
}


@pytest.fixture
def model(api: Api, upstream: Running, name: str) -> str:
    """The id of a model of this test's own provider."""
    return f"{api.add_provider(name, upstream.url)['slug']}/sim-model"


def post(api: Api, model: str, *, headers: dict[str, str], **fields: Any) -> httpx.Response:
    return api.http.post(CHAT, json=chat_body(model, **fields), headers=headers)


def hung_up(api: Api, body: Any, headers: dict[str, str], begun: Callable[..., bool]) -> None:
    """Send a chat, and hang up as soon as it has begun."""
    place = api.http.base_url
    caller = http.client.HTTPConnection(place.host, place.port or 80, timeout=10)
    try:
        sent = {**api.http.headers, **headers, "Content-Type": "application/json"}
        caller.request("POST", CHAT, json.dumps(body), sent)
        eventually(begun, 10)
    finally:
        caller.close()


@pytest.mark.parametrize("make", [vllm, ollama, llama_cpp, gemini, CountingSimulator])
def test_an_answer_is_told_exactly_as_the_upstream_gave_it(
    api: Api, name: str, make: Callable[[], Simulator]
) -> None:
    tool = {"type": "function", "function": {"name": "weather", "parameters": {}}}
    fields: dict[str, Any] = {"tools": [tool], "logprobs": True}
    with running(make()) as sim:
        slug = api.add_provider(name, sim.endpoint)["slug"]
        listed = sim.simulator.models[0]
        with httpx.Client(base_url=sim.url) as direct:
            path = sim.endpoint.removeprefix(sim.url) or "/v1"
            given = direct.post(f"{path}/chat/completions", json=chat_body(listed, **fields)).json()
        told = api.chat(f"{slug}/{listed}", **fields).json()
    changing = {"id", "created", "timings"}  # from call to call
    theirs = {field: value for field, value in given.items() if field not in OURS | changing}
    assert {field: told[field] for field in theirs} == theirs
    hidden = {field: value for field, value in given.items() if field in OURS - changing}
    assert {field: told["upstream"][field] for field in hidden} == hidden
    assert told["model"] == f"{slug}/{listed}"


def test_a_wait_ends_with_the_job_or_with_the_job_as_it_is(api: Api, model: str) -> None:
    quick = post(api, model, headers={"Prefer": "wait=20"})
    assert (quick.status_code, quick.json()["status"]) == (200, "completed")
    assert (quick.json()["background"], quick.json()["attempts"]) == (True, 1)
    slow = post(api, model, headers={"Prefer": "wait=1"}, sim={"latency": 20})
    assert (slow.status_code, slow.json()["status"]) == (202, "in_progress")
    assert slow.headers["Preference-Applied"] == "wait=1"
    api.http.delete(slow.headers["Location"])


def test_a_failed_job_is_a_200_where_a_202_was_possible(api: Api, model: str) -> None:
    answer = post(api, model, headers={"Prefer": "wait=20"}, sim={"status": 500})
    assert (answer.status_code, answer.json()["status"]) == (200, "failed")
    assert answer.json()["error"]["code"] == "upstream_server_error"


def test_a_stream_wins_over_every_preference(api: Api, model: str) -> None:
    headers = {"Prefer": "wait=10, respond-async"}
    answer = post(api, model, headers=headers, stream=True)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.text.endswith("data: [DONE]\n\n")


@pytest.mark.parametrize("stream", [False, True])
def test_whoever_hangs_up_ends_the_call_unless_a_key_says_that_he_comes_back(
    api: Api, model: str, upstream: Running, name: str, *, stream: bool
) -> None:
    sim: dict[str, Any] = {"words": 5, "hold_before": 2} if stream else {}
    if not stream:
        upstream.hold()
    key = {"Idempotency-Key": name}
    for mark, headers in (("left", {}), ("back", key)):
        body = chat_body(model, mark, stream=stream, sim=sim)
        hung_up(api, body, headers, lambda mark=mark: upstream.calls_of(mark).in_flight == 1)
    upstream.wait_until(lambda s: s.closed_early == 1, timeout=5)
    upstream.release()
    again = api.http.post(CHAT, json=body, headers=key)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.text.endswith("data: [DONE]\n\n") is stream
    assert (upstream.calls()["left"].closed_early, upstream.calls()["back"].answered) == (1, 1)


def test_a_waiting_job_says_for_what_and_where_it_stands(api: Api, name: str) -> None:
    with running(CountingSimulator()) as sim:
        sim.hold()
        provider = api.add_provider(name, sim.url, options={"max_concurrency": 1})
        model = f"{provider['slug']}/sim-model"
        jobs = [api.submit(model, "first")]
        sim.wait_until(lambda s: s.in_flight == 1, timeout=5)
        jobs += [api.submit(model, f"{n}", service_tier="flex") for n in range(3)]
        seen = [api.job(job_id) for job_id in jobs]
        assert [job["queue_position"] for job in seen] == [None, 1, 2, 3]
        assert seen[0]["waiting_for"] is None
        told = [(job["waiting_for"]["reason"], job["waiting_for"]["until"]) for job in seen[1:]]
        assert told == [("provider_busy", None)] * 3
        disabled = {"enabled": False}
        path = f"/v1/providers/{provider['id']}"
        assert api.http.patch(path, json=disabled).status_code == 200
        assert api.job(jobs[1])["waiting_for"]["reason"] == "provider_disabled"
        for job_id in jobs:
            api.http.delete(f"{CHAT}/{job_id}")


def test_a_job_that_was_put_off_says_until_when(api: Api, name: str) -> None:
    with running(CountingSimulator()) as sim:
        sim.set_mode(Mode.RATE_LIMITED, "chat")
        sim.simulator.retry_after = "30"
        slug = api.add_provider(name, sim.url)["slug"]
        job_id = api.submit(f"{slug}/sim-model")

        def put_off() -> Any:
            return api.job(job_id)["waiting_for"]

        waiting = eventually(put_off, 5)
    assert waiting["reason"] == "retry_after"
    assert 20 < waiting["until"] - time.time() <= 31
    api.http.delete(f"{CHAT}/{job_id}")


def test_higher_tiers_overtake_lower_ones_and_owners_take_turns(
    api: Api, system: System, name: str, upstream: Running
) -> None:
    keys = [
        api.http.post("/v1/keys", json={"name": f"{owner} {name}"[:60], "role": "member"}).json()
        for owner in ("ann", "ben")
    ]
    upstream.hold()
    slug = api.add_provider(name, upstream.url, options={"max_concurrency": 1})["slug"]
    model = f"{slug}/sim-model"
    jobs = [api.submit(model, "running")]
    upstream.wait_until(lambda s: s.in_flight == 1, timeout=5)
    with Api(system.url, keys[0]["key"]) as ann, Api(system.url, keys[1]["key"]) as ben:
        for caller, mark, tier in (
            (ann, "flex", "flex"),
            (ann, "ann 1", "default"),
            (ann, "ann 2", "auto"),
            (ann, "ann 3", "default"),
            (ben, "ben 1", "default"),
            (ann, "priority", "scale"),
        ):
            jobs.append(caller.submit(model, mark, service_tier=tier))
        upstream.release()
        api.ended(jobs, 10)
    chats = (one for one in upstream.simulator.requests if one.method == "POST")
    order = [httpx.Response(200, content=one.body).json()["user"] for one in chats]
    assert order[0] == "running"
    assert (order[1], order[-1]) == ("priority", "flex")
    assert order.index("ben 1") < order.index("ann 3")
    assert [mark for mark in order if mark.startswith("ann")] == ["ann 1", "ann 2", "ann 3"]


def test_parallel_submissions_with_one_key_are_one_job(
    api: Api, model: str, upstream: Running, name: str
) -> None:
    barrier = threading.Barrier(20)

    def send(_: int) -> tuple[str, str | None]:
        barrier.wait()
        answer = post(api, model, headers={"Idempotency-Key": f'"{name}"'}, background=True)
        return answer.json()["id"], answer.headers.get("Idempotent-Replayed")

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(send, range(20)))
    assert len({job_id for job_id, _ in answers}) == 1
    assert [replayed for _, replayed in answers].count(None) == 1
    api.ended([answers[0][0]], 5)
    assert upstream.stats().begun == 1
    later = post(api, model, headers={"Idempotency-Key": name}, background=True)
    assert (later.status_code, later.json()["status"]) == (200, "completed")
