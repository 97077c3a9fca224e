"""A provider that is wrong says so: in the answer, in the job, and in its discovery status."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from tests.api import TERMINAL, Api
from tests.eventually import eventually
from tests.simulators import CountingSimulator, Mode, refusing, running, unaccepting, vllm
from tests.system import free_port

CONNECT_TIMEOUT = 2


@dataclass(frozen=True)
class Wrong:
    """One thing that can be wrong, and what it must look like. `within` is in seconds."""

    what: str
    code: str
    status: int
    discovery: str
    within: float
    waits: bool = False
    phase: str | None = None


CASES = [
    Wrong("endpoint", "upstream_route_missing", 502, "no_models_route", 2),
    Wrong("key", "upstream_authentication_failed", 502, "auth_failed", 2),
    Wrong("page", "upstream_invalid_answer", 502, "invalid_response", 2),
    Wrong("refusing host", "upstream_unreachable", 502, "unreachable", 2, waits=True),
    Wrong(
        "silent host",
        "upstream_timeout",
        504,
        "unreachable",
        CONNECT_TIMEOUT + 1,
        waits=True,
        phase="connect",
    ),
]
each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.what)


@contextmanager
def _endpoint(case: Wrong) -> Iterator[str]:
    if case.what == "refusing host":
        with refusing() as url:
            yield url
    elif case.what == "silent host":
        with unaccepting() as url:
            yield url
    elif case.what == "key":
        with running(vllm(key="sk-right")) as sim:
            yield sim.url
    else:
        simulator = CountingSimulator()
        mode = Mode.HTML if case.what == "page" else Mode.ROUTE_MISSING
        simulator.modes = {"chat": mode, "models": mode}
        with running(simulator) as sim:
            yield sim.url


def _add(api: Api, name: str, url: str) -> dict[str, Any]:
    options = {"connect_timeout": CONNECT_TIMEOUT}
    return api.add_provider(name, url, api_key="sk-wrong-key-0123456789", options=options)


def _is_helpful(message: str) -> None:
    assert len(message.split()) >= 5, message
    assert "<" not in message, message
    assert "sk-wrong" not in message
    assert "Traceback" not in message


@each_case
def test_a_plain_call_ends_in_time_with_the_right_code(api: Api, name: str, case: Wrong) -> None:
    with _endpoint(case) as url:
        slug = _add(api, name, url)["slug"]
        began = time.monotonic()
        answer = api.chat(f"{slug}/sim-model")
        took = time.monotonic() - began
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (case.status, case.code), error
    assert took <= case.within, f"{took:.2f} s"
    assert error["type"] == "upstream_error"
    assert error["may_have_been_billed"] is (case.what == "page")
    assert error.get("phase") == case.phase
    assert answer.headers["x-should-retry"] == "false"
    _is_helpful(error["message"])


@each_case
def test_a_job_that_may_not_wait_fails_in_time_with_the_right_code(
    api: Api, name: str, case: Wrong
) -> None:
    with _endpoint(case) as url:
        slug = _add(api, name, url)["slug"]
        began = time.monotonic()
        options = {"on_unavailable": "fail"}
        job_id = api.submit(f"{slug}/sim-model", background_options=options)
        job = api.ended([job_id], case.within + 5)[job_id]
        took = time.monotonic() - began
    assert (job["status"], job["error"]["code"]) == ("failed", case.code)
    assert took <= case.within + 0.1, f"{took:.2f} s"  # asked every 50 ms
    _is_helpful(job["error"]["message"])


@each_case
def test_a_background_job_waits_only_for_a_dead_host(api: Api, name: str, case: Wrong) -> None:
    with _endpoint(case) as url:
        slug = _add(api, name, url)["slug"]
        job_id = api.submit(f"{slug}/sim-model")

        def settled() -> dict[str, Any] | None:
            job = api.job(job_id)
            return job if job["status"] in TERMINAL or job["waiting_for"] else None

        job = eventually(settled, case.within + 3)
        if case.waits:
            assert job["status"] == "queued"
            assert job["waiting_for"]["reason"] == "provider_parked"
            assert job["waiting_for"]["until"] is not None
        else:
            assert (job["status"], job["error"]["code"]) == ("failed", case.code)


@each_case
def test_the_provider_shows_the_right_status(api: Api, name: str, case: Wrong) -> None:
    with _endpoint(case) as url:
        provider = _add(api, name, url)
        discovery = api.discovered(provider["id"], case.discovery, 8)["discovery"]
        assert discovery["checked_at"] is not None
        assert discovery["model_count"] == 0
        if case.discovery != "no_models_route":
            assert discovery["error"] is not None


def test_a_job_that_waits_for_a_dead_host_completes_when_it_lives(api: Api, name: str) -> None:
    port = free_port()
    slug = api.add_provider(name, f"http://127.0.0.1:{port}")["slug"]
    job_id = api.submit(f"{slug}/sim-model", "patient")
    eventually(lambda: api.job(job_id)["waiting_for"], 5)
    with running(CountingSimulator(), port) as sim:
        job = api.ended([job_id], 20)[job_id]
        assert (job["status"], job["attempts"]) == ("completed", 1)  # only calls that began
        assert sim.calls()["patient"].begun == 1


@pytest.mark.parametrize(
    ("endpoint", "code"),
    [
        ("http://169.254.169.254/v1", "invalid_value"),
        ("ftp://example.com", "invalid_value"),
        ("http://user:secret@example.com/v1", "invalid_value"),
        ("", "invalid_value"),
    ],
)
def test_an_endpoint_that_can_never_work_is_refused_on_save(
    api: Api, name: str, endpoint: str, code: str
) -> None:
    body = {"name": name, "endpoint": endpoint}
    answer = api.http.post("/v1/providers", json=body)
    assert answer.status_code == 400, answer.text
    error = answer.json()["error"]
    assert (error["code"], error["param"]) == (code, "endpoint")
    assert "secret" not in error["message"]
