"""Each request is a line of the log; what asks every few seconds is one only where it fails."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from services.registry.metrics.figures import Figures
from services.registry.request_ids import POLLED, RequestIds
from shared.telemetry import JsonFormatter, LineFormatter


def told_of(path: str, status: str, caplog: pytest.LogCaptureFixture) -> logging.LogRecord:
    """The line about a request for this path that is answered so."""

    def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        start_response(status, [])
        return []

    caplog.set_level(logging.DEBUG)
    served = RequestIds(application, Figures())
    served({"REQUEST_METHOD": "GET", "PATH_INFO": path}, lambda *_: None)
    return caplog.records[-1]


def level_of(path: str, status: str, caplog: pytest.LogCaptureFixture) -> int:
    return told_of(path, status, caplog).levelno


@pytest.mark.parametrize("path", sorted(POLLED))
def test_a_good_answer_to_a_proxy_or_to_prometheus_is_no_line(
    path: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert level_of(path, "200 OK", caplog) == logging.DEBUG
    assert level_of(path, "503 SERVICE UNAVAILABLE", caplog) == logging.INFO


def test_any_other_request_is_a_line(caplog: pytest.LogCaptureFixture) -> None:
    assert level_of("/v1/models", "200 OK", caplog) == logging.INFO


def test_what_a_request_came_to_and_how_long_it_took_are_numbers(
    caplog: pytest.LogCaptureFixture,
) -> None:
    record = told_of("/v1/models", "502 BAD GATEWAY", caplog)
    line = json.loads(JsonFormatter("registry").format(record))
    assert (line["status"], type(line["ms"])) == (502, float)
    for_people = LineFormatter("registry").format(record)
    assert re.search(r"method=GET path=/v1/models status=502 ms=\d+\.\d$", for_people)
