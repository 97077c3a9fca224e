"""Streams and waits through a real server: delivery, hang-ups, a frozen Redis, a stop."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

import httpx
import psutil
import sqlalchemy as sa

from shared.store.schema import provider
from tests.api import CHAT, chat_body
from tests.eventually import eventually
from tests.integration.registry.conftest import Process, Stage

EVENTS = "/v1/events"


@contextmanager
def stream(process: Process, after: int) -> Iterator[Iterator[str]]:
    """The lines of a stream of events."""
    headers = {"Accept": "text/event-stream", "Last-Event-ID": str(after)}
    with process.api.http.stream("GET", EVENTS, headers=headers) as answer:
        assert answer.status_code == 200
        assert answer.headers["Content-Type"] == "text/event-stream"
        assert answer.headers["X-Accel-Buffering"] == "no"
        lines = answer.iter_lines()
        assert next(lines) == ": ping"  # the head comes at once, not with the first event
        yield lines


def frame(lines: Iterator[str]) -> tuple[int, str]:
    """Number and type of the next event."""
    number, data, end = next(lines), next(lines), next(lines)
    assert end == ""
    event = json.loads(data.removeprefix("data: "))
    assert number == f"id: {event['seq']}"
    return event["seq"], event["type"]


def newest(process: Process) -> int:
    page = process.api.http.get(EVENTS, params={"provider": "prov_00000000000000000000000000"})
    return int(page.json()["last_seq"])


def workers(process: Process) -> list[psutil.Process]:
    return psutil.Process(process.popen.pid).children()


def open_files(process: Process) -> int:
    """What the workers hold open, connections included."""
    return sum(worker.num_fds() for worker in workers(process))


def connected(worker: psutil.Process, process: Process) -> int:
    """How many clients have a connection, beside the process's own `api`."""
    port = int(process.url.rpartition(":")[2])
    found = [one for one in worker.net_connections("tcp") if one.laddr.port == port and one.raddr]
    return len(found) - 1


def asked(stage: Stage, slug: str) -> int:
    """How many refreshes of this provider were asked for."""
    query = sa.select(provider.c.refresh_asked).where(provider.c.slug == slug)
    with stage.database.read() as tx:
        return int(tx.execute(query).scalar_one())


def test_a_follower_hears_of_events_of_its_process_and_of_others(
    stage: Stage, registry: Process
) -> None:
    begin = newest(registry)
    with stream(registry, begin) as lines:
        began = time.monotonic()
        stage.provider(registry)
        assert frame(lines) == (begin + 1, "provider.created")
        assert time.monotonic() - began < 0.7
        began = time.monotonic()
        stage.append_events(2)  # by another process
        assert [frame(lines)[0] for _ in range(2)] == [begin + 2, begin + 3]
        assert time.monotonic() - began < 2.5
    with stream(registry, begin + 1) as lines:  # taken up again
        assert frame(lines)[0] == begin + 2


def test_a_follower_that_hangs_up_leaves_nothing_behind(registry: Process) -> None:
    head = (
        f"GET {EVENTS}?after={newest(registry)} HTTP/1.1\r\nHost: x\r\n"
        "Accept: text/event-stream\r\n"
        f"Authorization: {registry.api.http.headers['Authorization']}\r\n\r\n"
    )
    address = ("127.0.0.1", httpx.URL(registry.url).port or 0)
    before = open_files(registry)
    with ExitStack() as clients:
        for _ in range(5):
            client = clients.enter_context(socket.create_connection(address))
            client.sendall(head.encode())
            assert client.recv(12) == b"HTTP/1.1 200"
        time.sleep(0.1)  # all is sent by now; the next word would be a ping in 15 s
        assert open_files(registry) >= before + 5
    eventually(lambda: open_files(registry) <= before, 4)


def test_a_frozen_redis_holds_up_neither_refreshes_nor_tests(
    stage: Stage, registry: Process
) -> None:
    slug = stage.provider(registry)
    stage.valkey.freeze()
    try:
        began = time.monotonic()
        for _ in range(3):
            assert registry.api.http.post(f"/v1/providers/{slug}/refresh").status_code == 202
            answer = registry.api.http.post(
                "/v1/providers/test",
                json={"endpoint": "127.0.0.1:9", "api_key": "sk-frozen"},
                headers={"Prefer": "respond-async"},
            )
            assert answer.status_code == 202
        assert time.monotonic() - began < 1
    finally:
        stage.valkey.thaw()
    registry.api.http.post(f"/v1/providers/{slug}/refresh")

    def hints() -> str:
        with stage.redis() as client:
            waiting = client.lrange("dragoman:discovery", 0, -1)
            return "".join(map(str, waiting))

    eventually(lambda: "discovery.refresh" in hints(), 5)
    assert "sk-frozen" not in hints()


def test_a_stop_ends_streams_and_waits_at_once_with_an_answer(
    stage: Stage, registry: Process
) -> None:
    slug = stage.provider(registry)
    with stage.process() as stopped, ThreadPoolExecutor(2) as pool:
        begin = newest(stopped)

        def refresh() -> httpx.Response:
            path, wait = f"/v1/providers/{slug}/refresh", {"Prefer": "wait=60"}
            with httpx.Client(base_url=stopped.url, headers=stopped.api.http.headers) as client:
                return client.post(path, headers=wait, timeout=60)

        with stream(stopped, begin) as lines:
            waits = pool.submit(refresh)
            eventually(lambda: asked(stage, slug) == 1, 5)
            began = time.monotonic()
            stopping = pool.submit(stopped.stop)
            assert list(lines) == []  # ended in order: a broken one would raise
        assert waits.result(5).status_code == 202
        assert stopping.result(10) == 0
        assert time.monotonic() - began < 5  # of the 10 s for requests under way
    assert "Traceback" not in stage.log.read_text()


def test_a_stop_breaks_the_streams_of_jobs_that_go_on_so_that_nobody_takes_them_for_whole(
    stage: Stage, registry: Process
) -> None:
    """They ended in order, without `[DONE]`: OpenAI's packages made a whole answer of that."""
    model = f"{stage.provider(registry)}/m"
    with stage.process() as stopped, ThreadPoolExecutor(3) as pool:
        headers = stopped.api.http.headers
        job_id = stopped.api.submit(model)
        before = len(stage.states())

        def read(method: str, path: str, body: object) -> tuple[int, bool, bytes, bool]:
            got, broken = b"", False
            with (
                httpx.Client(base_url=stopped.url, headers=headers, timeout=30) as client,
                client.stream(method, path, json=body) as answer,
            ):
                try:
                    for part in answer.iter_bytes():
                        got += part
                except httpx.RemoteProtocolError:
                    broken = True
                return answer.status_code, "Location" in answer.headers, got, broken

        submitted = chat_body(model, stream=True, background=True)
        calls = [
            pool.submit(read, "GET", f"{CHAT}/{job_id}?stream=true", None),
            pool.submit(read, "POST", CHAT, submitted),
        ]
        (worker,) = workers(stopped)
        eventually(lambda: len(stage.states()) > before and connected(worker, stopped) >= 2, 10)
        assert stopped.stop() == 0
        for call, located in zip(calls, (False, True), strict=True):
            status, has_location, got, broken = call.result(5)
            assert (status, has_location, broken) == (200, located, True)
            assert set(got.splitlines(keepends=True)) == {b": ping\n"}
    assert "Traceback" not in stage.log.read_text()
