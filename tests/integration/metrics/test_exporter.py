"""A worker's own port: real requests, with and without the token."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from prometheus_client import CollectorRegistry, Counter
from prometheus_client.parser import text_string_to_metric_families

from shared import config
from shared.errors import ConfigurationError
from shared.metrics import WorkerMetrics
from shared.metrics.exporter import Exporter
from shared.metrics.snapshot import taken
from tests.ports import free_port

TOKEN = "a-token-of-the-scraper"


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    """The port of an exporter that wants the token."""
    registry = CollectorRegistry()
    Counter("calls_total", "Calls.", registry=registry).inc(3)
    exporter = Exporter("127.0.0.1:0", TOKEN, lambda: taken(registry, "worker-1", now=1.0))
    exporter.start()
    yield exporter.port
    exporter.stop()


def get(port: int, path: str = "/metrics", token: str = TOKEN) -> httpx.Response:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return httpx.get(f"http://127.0.0.1:{port}{path}", headers=headers, trust_env=False)


def test_whoever_brings_the_token_sees_this_process(port: int) -> None:
    answer = get(port)
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    (family,) = text_string_to_metric_families(answer.text)
    (sample,) = family.samples
    assert (sample.name, sample.labels, sample.value) == ("calls_total", {"process": "worker-1"}, 3)


@pytest.mark.parametrize("token", ["", "another", TOKEN.upper()])
def test_nobody_else_sees_anything(port: int, token: str) -> None:
    answer = get(port, token=token)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert "calls" not in answer.text


def test_there_is_nothing_but_the_metrics(port: int) -> None:
    assert get(port, "/").status_code == 404
    assert get(port, "/metrics/x").status_code == 404
    answer = httpx.post(f"http://127.0.0.1:{port}/metrics", trust_env=False)
    assert answer.status_code == 501


def test_a_port_that_is_taken_is_a_fault_of_the_configuration(tmp_path: Path) -> None:
    listen = f"127.0.0.1:{free_port()}"
    environ = {"DRAGOMAN_DATA_DIR": str(tmp_path), "DRAGOMAN_METRICS_LISTEN": listen}
    settings = config.load(environ)
    first = WorkerMetrics(settings, CollectorRegistry(), "chat-worker")
    first.start()
    with pytest.raises(ConfigurationError, match="DRAGOMAN_METRICS_LISTEN: expected an address"):
        WorkerMetrics(settings, CollectorRegistry(), "chat-worker")
    first.stop()
