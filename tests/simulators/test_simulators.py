"""The simulators behave as UPSTREAMS.md says, and the counting one counts."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator

import httpx
import pytest

from tests.simulators import (
    CountingSimulator,
    Mode,
    Running,
    Simulator,
    ollama,
    refusing,
    running,
    spawned,
    tgi,
    unaccepting,
    vllm,
)

CHAT = "/v1/chat/completions"


def _body(model: str = "m", **fields: object) -> dict[str, object]:
    return {"model": model, "messages": [{"role": "user", "content": "Hello"}], **fields}


@pytest.fixture
def counting() -> Iterator[Running]:
    with running(CountingSimulator()) as sim:
        yield sim


@pytest.mark.parametrize("make", [vllm, ollama, tgi])
def test_each_server_lists_its_models_and_answers_a_chat(make: Callable[[], Simulator]) -> None:
    with running(make()) as sim, httpx.Client(base_url=sim.url) as http:
        listed = http.get("/v1/models").json()["data"]
        assert [entry["id"] for entry in listed] == sim.simulator.models
        answer = http.post(CHAT, json=_body(sim.simulator.models[0]))
        assert answer.json()["choices"][0]["message"]["content"].endswith("answers 1 message(s).")


def test_vllm_refuses_a_wrong_key_with_a_string_error() -> None:
    with running(vllm(key="sk-right")) as sim, httpx.Client(base_url=sim.url) as http:
        wrong = http.get("/v1/models", headers={"Authorization": "Bearer sk-wrong"})
        assert (wrong.status_code, wrong.json()) == (401, {"error": "Unauthorized"})
        assert http.get("/health").status_code == 200


def test_tgi_lists_without_a_key_and_refuses_a_chat_with_an_empty_body() -> None:
    with running(tgi(key="sk-right")) as sim, httpx.Client(base_url=sim.url) as http:
        assert http.get("/v1/models").status_code == 200
        refused = http.post(CHAT, json=_body())
        assert (refused.status_code, refused.content) == (401, b"")


def test_ollama_without_models_lists_null() -> None:
    with running(ollama(models=[])) as sim:
        assert httpx.get(f"{sim.url}/v1/models").json() == {"object": "list", "data": None}


def test_ollama_takes_a_name_without_a_tag_for_the_latest() -> None:
    with running(ollama(models=["llama3:latest", "qwen3:4b"])) as sim:
        url = f"{sim.url}{CHAT}"
        assert httpx.post(url, json=_body("llama3")).json()["model"] == "llama3"
        assert httpx.post(url, json=_body("qwen3")).status_code == 404


@pytest.mark.parametrize(
    ("mode", "status", "text"),
    [
        (Mode.WRONG_KEY, 401, "Incorrect API key"),
        (Mode.HTML, 200, "<!doctype html>"),
        (Mode.ROUTE_MISSING, 404, "Not Found"),
        (Mode.LOADING, 503, "unavailable_error"),
        (Mode.RATE_LIMITED, 429, "Too many requests"),
        (Mode.SERVER_ERROR, 500, "Internal server error"),
    ],
)
def test_a_mode_makes_both_routes_misbehave(
    counting: Running, mode: Mode, status: int, text: str
) -> None:
    counting.set_mode(mode)
    for answer in (
        httpx.get(f"{counting.url}/v1/models"),
        httpx.post(counting.url + CHAT, json=_body()),
    ):
        assert answer.status_code == status
        assert text in answer.text


def test_a_rate_limit_says_when_to_come_again(counting: Running) -> None:
    counting.set_mode(Mode.RATE_LIMITED, "chat")
    counting.simulator.retry_after = "7"
    answer = httpx.post(counting.url + CHAT, json=_body())
    assert answer.headers["Retry-After"] == "7"


def test_calls_are_counted_by_mark_with_the_most_that_were_open(counting: Running) -> None:
    counting.hold()
    threads = [
        threading.Thread(
            target=httpx.post,
            args=[counting.url + CHAT],
            kwargs={"json": _body(user=mark), "timeout": 10},
        )
        for mark in ("a", "a", "b")
    ]
    for thread in threads:
        thread.start()
    counting.wait_until(lambda s: s.in_flight == 3, timeout=5)
    counting.release()
    for thread in threads:
        thread.join()
    stats = counting.stats()
    assert (stats.in_flight, stats.high_water, stats.answered) == (0, 3, 3)
    assert {mark: calls.begun for mark, calls in counting.calls().items()} == {"a": 2, "b": 1}


def test_a_client_that_leaves_is_counted_as_closed_early(counting: Running) -> None:
    counting.hold()
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(counting.url + CHAT, json=_body(user="left"), timeout=0.2)
    counting.wait_until(lambda s: s.closed_early == 1, timeout=5)
    counting.release()
    assert counting.calls()["left"].answered == 0


def test_one_call_chooses_its_own_failure_and_recovers_after_it(counting: Running) -> None:
    sim = {"status": 429, "retry_after": "3", "good_after": 1}
    first = httpx.post(counting.url + CHAT, json=_body(user="x", sim=sim))
    second = httpx.post(counting.url + CHAT, json=_body(user="x", sim=sim))
    assert (first.status_code, first.headers["Retry-After"]) == (429, "3")
    assert second.json()["choices"][0]["message"]["content"] == "answer to x"


@pytest.mark.parametrize("how", ["close", "reset"])
def test_one_call_asks_to_be_dropped(counting: Running, how: str) -> None:
    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        httpx.post(counting.url + CHAT, json=_body(sim={"drop": how}))
    assert counting.stats().dropped == 1


def test_the_counting_process_is_controlled_over_http() -> None:
    with spawned("--latency", "0.05") as sim:
        answer = httpx.post(sim.url + CHAT, json=_body(user="far"))
        assert answer.json()["choices"][0]["message"]["content"] == "answer to far"
        assert sim.calls()["far"].answered == 1
        sim.reset()
        assert sim.stats().begun == 0


def test_a_refusing_port_refuses_and_an_unaccepting_one_is_silent() -> None:
    with refusing() as url, pytest.raises(httpx.ConnectError):
        httpx.get(url)
    with unaccepting() as url:
        port = int(url.rpartition(":")[2])
        with pytest.raises(TimeoutError):
            socket.create_connection(("127.0.0.1", port), timeout=0.3)
