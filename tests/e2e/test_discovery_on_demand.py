"""Refreshes, tests of unsaved values and the feed of events, by the real workers."""

from __future__ import annotations

import json
import threading
import time
from typing import Any

from tests.api import Api
from tests.simulators import Running, running, vllm

TEST = "/v1/providers/test"


def steps(check: dict[str, Any]) -> dict[str, str]:
    return {step["name"]: step["verdict"] for step in check["steps"]}


def test_a_refresh_that_is_waited_for_gives_the_list_as_it_is_now(
    api: Api, upstream: Running, name: str
) -> None:
    upstream.simulator.models[:] = ["before"]
    made = api.add_provider(name, upstream.url)
    api.discovered(made["id"], "ok", 5)
    begin = api.http.get("/v1/events", params={"provider": made["id"]}).json()["last_seq"]
    upstream.simulator.models[:] = ["before", "after"]
    told: list[dict[str, Any]] = []
    follower = threading.Thread(target=follow, args=(api, made["id"], begin, told), daemon=True)
    follower.start()
    began = time.monotonic()
    answer = api.http.post(f"/v1/providers/{made['slug']}/refresh", headers={"Prefer": "wait=20"})
    assert time.monotonic() - began < 5
    assert answer.status_code == 200, answer.text
    assert sorted(one["upstream_id"] for one in answer.json()["data"]) == ["after", "before"]
    follower.join(5)
    assert [(one["type"], one["detail"]["appeared"]) for one in told] == [
        ("models.changed", ["after"])
    ]


def follow(api: Api, provider_id: str, after: int, told: list[dict[str, Any]]) -> None:
    """The first event that a stream brings."""
    wanted = {"provider": provider_id, "type": "models.changed", "after": str(after)}
    headers = {"Accept": "text/event-stream"}
    with api.http.stream("GET", "/v1/events", params=wanted, headers=headers) as answer:
        for line in answer.iter_lines():
            if line.startswith("data: "):
                told.append(json.loads(line.removeprefix("data: ")))
                return


def test_unsaved_values_are_tested_step_by_step_with_a_remedy_for_what_fails(api: Api) -> None:
    key = "sk-unsaved-0123456789"
    with running(vllm(key=key)) as sim:
        body = {"endpoint": f"{sim.url}/v1", "api_key": key, "chat": True}
        right = api.http.post(TEST, json=body)
        wrong = api.http.post(TEST, json={**body, "api_key": "sk-wrong"})
    assert (right.status_code, wrong.status_code) == (200, 200)
    assert steps(right.json()) == {
        "resolve": "ok",
        "connect": "ok",
        "tls": "skipped",
        "models": "ok",
        "authenticate": "ok",
        "chat": "ok",
    }
    assert right.json()["endpoint"] == f"{sim.url}/v1"
    assert right.json()["models"][0]["context_length"] == 131072
    failed = [step for step in wrong.json()["steps"] if step["verdict"] == "failed"]
    assert len(failed) == 1
    assert failed[0]["remedy"]
    assert key not in right.text + wrong.text


def test_a_forbidden_address_fails_its_first_step(api: Api) -> None:
    answer = api.http.post(TEST, json={"endpoint": "http://169.254.169.254/v1"})
    assert answer.status_code == 200
    assert steps(answer.json())["resolve"] == "failed"
    assert answer.json()["steps"][0]["remedy"]
