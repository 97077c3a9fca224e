"""Traces over OTLP/HTTP, and JSON logs: the trace of a job is its id, and its request links there.

The receiver is ours, on a port of its own; what comes is read with OpenTelemetry's own messages.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from ulid import ULID

from deploy.processes import PROCESSES
from tests.api import CHAT, chat_body
from tests.eventually import eventually
from tests.simulators import CountingSimulator, Running, running
from tests.system import System
from tests.webhook_receiver import SECRET

KEY = "sk-canary-of-the-provider"
PROMPT = "canary-of-the-conversation"
HOOK = "canary-of-the-webhook"
REQUEST = "req-of-the-test"


class Collector:
    """Keeps every span that is sent, with the name of its service."""

    def __init__(self) -> None:
        self.spans: list[tuple[str, Any]] = []
        self.sent = b""
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                collector.take(body)
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None: ...  # noqa: A002

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def take(self, body: bytes) -> None:
        self.sent += body
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            service = attributes(resource.resource)["service.name"]
            for scope in resource.scope_spans:
                self.spans += [(service, span) for span in scope.spans]

    def __enter__(self) -> Collector:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def of(self, service: str, **wanted: Any) -> list[Any]:
        """The spans of a service with these attributes, `.` written as `__`."""
        named = {name.replace("__", "."): value for name, value in wanted.items()}
        return [
            span
            for from_service, span in list(self.spans)
            if from_service == f"dragoman-{service}" and named.items() <= attributes(span).items()
        ]


def attributes(holder: Any) -> dict[str, Any]:
    found = {}
    for pair in holder.attributes:
        kind = pair.value.WhichOneof("value")
        found[pair.key] = getattr(pair.value, kind)
    return found


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with Collector() as collector:
        yield collector


@pytest.fixture(scope="module")
def system(collector: Collector, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A system that is asked for traces by the standard variables only."""
    env = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "OTEL_BSP_SCHEDULE_DELAY": "100",
        "DRAGOMAN_REGISTRY_WORKERS": "1",
        "DRAGOMAN_LOG_FORMAT": "json",
    }
    with System(tmp_path_factory.mktemp("traces") / "data", env=env) as started:
        yield started


@pytest.fixture(scope="module")
def upstream() -> Iterator[Running]:
    with running(CountingSimulator()) as sim:
        yield sim


def test_the_trace_of_a_job_is_its_id(
    system: System, collector: Collector, upstream: Running
) -> None:
    system.api.add_provider("acme", upstream.url, api_key=KEY)
    body = {"model": "acme/sim-model", "messages": [{"role": "user", "content": PROMPT}]}
    headers = {"x-request-id": REQUEST}
    answer = system.api.http.post(CHAT, json=body, headers=headers)
    assert answer.status_code == 200
    bare = answer.json()["id"].removeprefix("chatcmpl-")
    trace = ULID.from_str(bare).bytes
    attempts = eventually(lambda: collector.of("chat-worker", dragoman__job_id=bare), 10, every=0.1)
    (attempt,) = attempts
    assert attempt.name == "attempt"
    assert attempt.trace_id == trace
    assert attempt.parent_span_id == b""
    told = attributes(attempt)
    assert told["dragoman.attempt"] == 1
    assert told["dragoman.provider"] == "acme"
    assert told["dragoman.request_id"] == REQUEST
    assert told["dragoman.outcome"] == "completed"

    def call() -> list[Any]:
        return [s for s in collector.of("chat-worker") if s.parent_span_id == attempt.span_id]

    (called,) = eventually(call, 10, every=0.1)
    assert called.trace_id == trace
    assert attributes(called)["http.url"].startswith(upstream.url)

    def request() -> list[Any]:
        return collector.of("registry", dragoman__job_id=bare)

    (served,) = eventually(request, 10, every=0.1)
    assert attributes(served)["dragoman.request_id"] == REQUEST
    assert attributes(served)["http.route"] == CHAT
    assert [link.trace_id for link in served.links] == [trace]


def test_an_attempt_that_failed_says_how(
    system: System, collector: Collector, upstream: Running
) -> None:
    system.api.add_provider("failing", upstream.url)
    assert system.api.chat("failing/sim-model", sim={"status": 400}).status_code == 400
    (attempt,) = eventually(
        lambda: collector.of("chat-worker", dragoman__provider="failing"), 10, every=0.1
    )
    assert attempt.status.message == attributes(attempt)["dragoman.outcome"] != "completed"


def told(system: System) -> list[dict[str, Any]]:
    """Every whole line of the log."""
    whole = system.output().rpartition("\n")[0].splitlines()
    return [json.loads(line) for line in whole if not line.startswith("Dragoman is ready")]


def test_the_log_is_json_and_names_request_job_and_attempt(
    system: System, upstream: Running
) -> None:
    system.api.add_provider("logged", upstream.url)
    body = chat_body("logged/m", sim={"status": 400})
    answer = system.api.http.post(CHAT, json=body, headers={"x-request-id": "req-logged"})
    assert answer.status_code == 400

    def failed() -> dict[str, Any] | None:
        return next((one for one in told(system) if one.get("provider") == "logged"), None)

    line = eventually(failed, 10)
    assert (line["service"], line["message"]) == ("chat-worker", "the job failed")
    assert (line["request_id"], line["attempt"]) == ("req-logged", 1)
    assert len(line["job_id"]) == 26


def test_a_line_says_whose_it_is_by_the_name_that_the_process_has_in_ps(system: System) -> None:
    names = {"dragoman", "migrate", *(process.name for process in PROCESSES)}
    services = {line["service"] for line in told(system)}
    assert {"registry", "chat-worker", "discovery-worker"} <= services <= names


def test_neither_secrets_nor_conversations_nor_probes_are_traced(
    system: System, collector: Collector, upstream: Running
) -> None:
    system.api.http.get("/health/live")
    system.api.http.get("/metrics")
    system.api.http.get(f"/v1/providers?api_key={KEY}")
    webhook = {"url": f"{upstream.url}/{HOOK}", "secret": SECRET}
    system.api.submit("acme/sim-model", background_options={"webhook": webhook})
    eventually(lambda: collector.of("chat-worker", http__status_code=404), 10, every=0.1)
    system.api.http.get("/v1/models", headers={"x-request-id": "the-last"})
    eventually(lambda: collector.of("registry", dragoman__request_id="the-last"), 10, every=0.1)
    eventually(lambda: collector.of("discovery-worker"), 10, every=0.1)
    for secret in (KEY, PROMPT, HOOK, SECRET, system.admin_key):
        assert secret.encode() not in collector.sent
    routes = {attributes(span).get("http.route") for span in collector.of("registry")}
    assert not {"/health/live", "/metrics"} & routes
