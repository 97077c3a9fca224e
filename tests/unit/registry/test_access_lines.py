"""Each request is a line of the log; what asks every few seconds is one only where it fails."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from services.registry.metrics.figures import Figures
from services.registry.request_ids import POLLED, RequestIds


def level_of(path: str, status: str, caplog: pytest.LogCaptureFixture) -> int:
    """The level of the line about a request for this path that is answered so."""

    def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        start_response(status, [])
        return []

    caplog.set_level(logging.DEBUG)
    served = RequestIds(application, Figures())
    served({"REQUEST_METHOD": "GET", "PATH_INFO": path}, lambda *_: None)
    return caplog.records[-1].levelno


@pytest.mark.parametrize("path", sorted(POLLED))
def test_a_good_answer_to_a_proxy_or_to_prometheus_is_no_line(
    path: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert level_of(path, "200 OK", caplog) == logging.DEBUG
    assert level_of(path, "503 SERVICE UNAVAILABLE", caplog) == logging.INFO


def test_any_other_request_is_a_line(caplog: pytest.LogCaptureFixture) -> None:
    assert level_of("/v1/models", "200 OK", caplog) == logging.INFO
