"""The standard variables switch traces on and off; nothing is loaded or held up without need."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from shared import tracing
from shared.errors import ConfigurationError
from tests.ports import free_port

ROOT = Path(__file__).parents[3]
URL = "http://127.0.0.1:4318"


@pytest.mark.parametrize(
    ("environ", "on"),
    [
        ({}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": URL}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": URL}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": " "}, False),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, True),
        ({"OTEL_TRACES_EXPORTER": "console,otlp"}, True),
        ({"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": URL}, False),
        ({"OTEL_SDK_DISABLED": "TRUE", "OTEL_EXPORTER_OTLP_ENDPOINT": URL}, False),
        ({"OTEL_SERVICE_NAME": "mine"}, False),
    ],
)
def test_an_endpoint_or_the_exporter_asks_for_traces(environ: dict[str, str], on: bool) -> None:
    assert tracing.wanted(environ) is on


def test_what_cannot_be_had_is_refused_before_anything_runs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tracing.check({})
    tracing.check({"OTEL_EXPORTER_OTLP_ENDPOINT": URL})
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": URL, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}
    with pytest.raises(ConfigurationError, match='expected http/protobuf, got "grpc"'):
        tracing.check(environ)
    monkeypatch.setattr("shared.tracing.find_spec", lambda _name: None)
    with pytest.raises(
        ConfigurationError, match=r"expected the packages of requirements/otel.lock"
    ):
        tracing.check({"OTEL_EXPORTER_OTLP_ENDPOINT": URL})


def python(program: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """This program in a process of its own."""
    return subprocess.run(
        [sys.executable, "-P", "-c", program],
        env={"PYTHONPATH": str(ROOT), **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )


def test_no_process_loads_anything_of_it_where_nobody_asked() -> None:
    done = python(
        "import services.registry.__main__, sys\n"
        "import services.registry.server, services.chat_worker.__main__\n"
        "import services.discovery_worker.__main__, deploy.bootstrap\n"
        "from shared import tracing\n"
        "traces = tracing.start({}, 'registry')\n"
        "with traces.attempt('01ARZ3NDEKTSV4RRFFQ69G5FAV', attempt=1) as ended: ended('ok')\n"
        "traces.stop()\n"
        "ours = ('sdk.trace', 'exporter', 'instrumentation', 'proto')\n"  # redis loads its metrics
        "print([n for n in sys.modules for mine in ours if f'opentelemetry.{mine}' in n])\n"
    )
    assert done.stdout.strip() == "[]"


def test_a_collector_that_is_away_holds_up_neither_a_call_nor_the_stop() -> None:
    program = (
        "import os, time\n"
        "from shared import tracing\n"
        "traces = tracing.start(os.environ, 'chat-worker')\n"
        "began = time.monotonic()\n"
        "for _ in range(100):\n"
        "    with traces.attempt('01ARZ3NDEKTSV4RRFFQ69G5FAV', attempt=1) as ended: ended('x')\n"
        "print(time.monotonic() - began)\n"
        "began = time.monotonic()\n"
        "traces.stop()\n"
        "print(time.monotonic() - began)\n"
    )
    began = time.monotonic()
    done = python(program, OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{free_port()}")
    calls, stop = map(float, done.stdout.split())
    assert calls < 1
    assert stop < 4
    assert time.monotonic() - began < 15  # nor does the interpreter's own end wait for it
