"""Submissions and waiting calls through a real server."""

from __future__ import annotations

import json
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import httpx

from tests.api import CHAT, chat_body
from tests.eventually import eventually
from tests.integration.registry.conftest import Process, Stage


def test_a_plain_call_is_woken_by_a_notice(stage: Stage, registry: Process) -> None:
    model = f"{stage.provider(registry)}/m"
    for _ in range(4):  # the look that runs each second would hardly be in time every time
        with ThreadPoolExecutor(1) as pool:
            call = pool.submit(registry.api.chat, model)
            job = stage.claimed()
            stage.complete(job, notice=True)
            began = time.monotonic()
            answer = call.result(5)
        assert time.monotonic() - began < 0.25
        assert answer.json()["id"] == f"chatcmpl-{job.id}"
        assert answer.json()["choices"][0]["message"]["content"] == "hi"


def test_a_plain_call_is_woken_by_the_row_when_there_is_no_redis(
    stage: Stage, registry: Process
) -> None:
    model = f"{stage.provider(registry)}/m"
    stage.valkey.stop()
    try:
        with ThreadPoolExecutor(1) as pool:
            call = pool.submit(registry.api.chat, model)
            stage.complete(stage.claimed(), notice=False)
            assert call.result(4).status_code == 200
    finally:
        stage.valkey.start()


def test_a_frozen_redis_holds_up_no_submission(stage: Stage, registry: Process) -> None:
    model = f"{stage.provider(registry)}/m"
    stage.valkey.freeze()
    try:
        began = time.monotonic()
        ids = [registry.api.submit(model) for _ in range(5)]
        assert time.monotonic() - began < 1
    finally:
        stage.valkey.thaw()
    assert registry.api.http.delete(f"/v1/providers/{model[:-2]}").status_code == 204
    assert {job["status"] for job in registry.api.ended(ids, 5).values()} == {"failed"}


def test_the_jobs_of_clients_that_hang_up_are_cancelled(stage: Stage, registry: Process) -> None:
    body = json.dumps(chat_body(f"{stage.provider(registry)}/m")).encode()
    head = (
        f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {stage.key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    before = set(stage.states())
    address = ("127.0.0.1", httpx.URL(registry.url).port or 0)
    with ExitStack() as clients:
        for _ in range(2):
            client = clients.enter_context(socket.create_connection(address))
            client.sendall(head.encode() + body)
        eventually(lambda: len(set(stage.states()) - before) == 2, 5)
        running = stage.claimed().id
        (queued,) = set(stage.states()) - before - {running}
        time.sleep(1.1)  # one look at clients that are still there
        assert [stage.states()[i] for i in (running, queued)] == ["in_progress", "queued"]
    ends = {"cancelled"}
    eventually(lambda: {stage.states()[i] for i in (running, queued)} == ends, 4)
    for bare_id, billed in ((running, True), (queued, False)):
        error = registry.api.job(f"chatcmpl-{bare_id}")["error"]
        assert (error["code"], error["may_have_been_billed"]) == ("cancelled", billed)


def test_a_plain_call_ends_after_its_deadline_also_without_workers(
    stage: Stage, registry: Process
) -> None:
    model, before = f"{stage.provider(registry)}/m", set(stage.states())
    began = time.monotonic()
    answer = registry.api.chat(model, background_options={"timeout": 0.2})
    assert 2.0 < time.monotonic() - began < 5.0  # 2 s are left to a worker
    (bare_id,) = set(stage.states()) - before
    assert stage.states()[bare_id] == "failed"
    assert answer.status_code == 504
    assert answer.json()["error"]["code"] == "deadline_exceeded"
    assert answer.headers["x-should-retry"] == "false"


def test_what_is_no_http_is_answered_with_a_problem_document(registry: Process) -> None:
    with socket.create_connection(("127.0.0.1", httpx.URL(registry.url).port or 0)) as client:
        client.settimeout(5)
        client.sendall(b"GET / nonsense\r\n\r\n")
        answer = b"".join(iter(lambda: client.recv(65_536), b""))
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert b"x-request-id: req_" in head
    assert json.loads(body)["error"]["code"] == "invalid_value"
