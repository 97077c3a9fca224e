"""What opens the metrics is never shown, and a worker's port is never open by accident."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared import config
from shared.errors import ConfigurationError

TOKEN = "a-token-of-the-scraper"


def faults(environ: dict[str, str]) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        config.load(environ)
    return caught.value.faults


def test_the_token_is_read_from_a_file_and_shown_nowhere(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    settings = config.load({"DRAGOMAN_METRICS_TOKEN_FILE": str(file)})
    assert settings.metrics_token == TOKEN
    assert config.shown(settings)["DRAGOMAN_METRICS_TOKEN"] == "***"
    assert config.shown(config.load({}))["DRAGOMAN_METRICS_TOKEN"] == ""


@pytest.mark.parametrize("token", ["short", "sixteen chars no blank", "ümlaut-ümlaut-ümlaut"])
def test_a_token_that_no_header_carries_is_refused_without_being_told(token: str) -> None:
    (fault,) = faults({"DRAGOMAN_METRICS_TOKEN": token})
    assert fault.startswith("DRAGOMAN_METRICS_TOKEN: expected 16 to 512 visible ASCII characters")
    assert token not in fault


@pytest.mark.parametrize("listen", ["127.0.0.1:9464", "[::1]:9464"])
def test_loopback_needs_no_token(listen: str) -> None:
    assert config.load({"DRAGOMAN_METRICS_LISTEN": listen}).metrics_listen == listen


@pytest.mark.parametrize("listen", ["0.0.0.0:9464", "[::]:9464", "chat-worker-1:9464"])
def test_a_port_on_the_network_needs_a_token(listen: str) -> None:
    (fault,) = faults({"DRAGOMAN_METRICS_LISTEN": listen})
    assert "expected DRAGOMAN_METRICS_TOKEN beside it" in fault
    environ = {"DRAGOMAN_METRICS_LISTEN": listen, "DRAGOMAN_METRICS_TOKEN": TOKEN}
    assert config.load(environ).metrics_listen == listen


@pytest.mark.parametrize("listen", ["9464", "127.0.0.1", "127.0.0.1:", ":9464", "127.0.0.1:0"])
def test_what_is_no_address_and_port_is_refused(listen: str) -> None:
    (fault,) = faults({"DRAGOMAN_METRICS_LISTEN": listen})
    assert "expected an address and a port to listen on" in fault


def test_the_format_of_the_log_is_one_of_two() -> None:
    assert config.load({"DRAGOMAN_LOG_FORMAT": "json"}).log_format == "json"
    assert faults({"DRAGOMAN_LOG_FORMAT": "xml"}) == [
        'DRAGOMAN_LOG_FORMAT: expected one of line, json, got "xml"'
    ]
