"""What the runner does for those who watch: packages for traces, and no port for two workers."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.bootstrap import groups_of
from deploy.up import child_environ
from shared.config import load

ASKED = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}


@pytest.mark.parametrize("command", ["up", "demo"])
def test_packages_for_traces_are_installed_where_traces_are_asked_for(command: str) -> None:
    assert "otel" not in groups_of(command, {})
    assert groups_of(command, ASKED) == (*groups_of(command, {}), "otel")


@pytest.mark.parametrize("command", ["config", "migrate", "providers", "jobs"])
def test_what_sends_no_traces_needs_no_packages_for_them(command: str) -> None:
    assert groups_of(command, ASKED) == ("run",)


def test_workers_of_one_machine_are_not_told_to_listen_at_one_port(tmp_path: Path) -> None:
    environ = {
        "DRAGOMAN_DATA_DIR": str(tmp_path),
        "DRAGOMAN_METRICS_LISTEN": "127.0.0.1:9464",
        "DRAGOMAN_METRICS_TOKEN": "a-token-of-the-scraper",
        **ASKED,
    }
    given = child_environ(load(environ), environ)
    assert "DRAGOMAN_METRICS_LISTEN" not in given
    assert given["DRAGOMAN_METRICS_TOKEN"] == environ["DRAGOMAN_METRICS_TOKEN"]
    assert ASKED.items() <= given.items()
