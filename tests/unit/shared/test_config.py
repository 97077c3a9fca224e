"""Settings are read once, checked whole, and complain about every fault together."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from shared import config
from shared.errors import ConfigurationError
from shared.keyring import Keyring

KEYRING = Keyring.generate()


def faults(environ: dict[str, str]) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        config.load(environ)
    return caught.value.faults


def test_the_defaults_need_nothing() -> None:
    settings = config.load({})
    assert settings.port == 8642
    assert settings.data_dir == Path.cwd() / ".dragoman"
    assert settings.database_url == f"sqlite:///{settings.data_dir}/dragoman.db"
    assert settings.redis_url is None


def test_every_fault_is_reported_at_once() -> None:
    found = faults(
        {
            "REDIS_URL": "localhost",
            "DRAGOMAN_PORT": "99999",
            "DRAGOMAN_LEASE_SECONDS": "soon",
            "DRAGOMAN_OUTBOUND_ALLOW": "loopback,10.0.0.300/8",
            "DATABASE_URL": "mysql://h/x",
        }
    )
    assert len(found) == 5
    assert 'REDIS_URL: expected redis://…, rediss://… or unix://…, got "localhost"' in found


@pytest.mark.parametrize("value", ["nan", "inf", "-1", "1e9", "", "x" * 100])
def test_a_time_out_of_bounds_is_refused_or_the_default(value: str) -> None:
    if value == "":
        assert config.load({"DRAGOMAN_LEASE_SECONDS": value}).lease_seconds == 60
    else:
        assert faults({"DRAGOMAN_LEASE_SECONDS": value})


@pytest.mark.parametrize("name", ["DRAGOMAN_API_KEY", "DRAGOMAN_URL", "DRAGOMAN_IMAGE"])
def test_what_others_than_the_services_read_may_be_exported(name: str) -> None:
    assert config.load({name: "x"}) == config.load({name: ""}) == config.load({})


def test_a_misspelt_setting_is_refused() -> None:
    assert faults({"DRAGOMAN_LEASE_SECOND": "3"}) == [
        "DRAGOMAN_LEASE_SECOND: expected a setting that exists, got an unknown name"
    ]


def test_what_is_shown_hides_secrets() -> None:
    settings = config.load(
        {
            "DATABASE_URL": "postgresql://me:s3cret@db/dragoman",
            "REDIS_URL": "redis://:s3cret@cache:6379/0",
            "DRAGOMAN_KEYRING": KEYRING.dump(),
        }
    )
    shown = config.shown(settings)
    assert "s3cret" not in repr(shown)
    assert shown["DRAGOMAN_KEYRING"] == "***"
    for secret in (*json.loads(KEYRING.dump())["keys"].values(), repr(KEYRING.pepper)):
        assert secret not in repr(shown) + repr(settings)
    assert shown["DATABASE_URL"] == "postgresql://me:***@db/dragoman"


def test_a_malformed_keyring_is_one_of_the_faults_and_is_not_shown() -> None:
    found = faults({"DRAGOMAN_KEYRING": '{"primary": "s3cret"}', "DRAGOMAN_PORT": "0"})
    assert len(found) == 2
    assert any(fault.startswith("DRAGOMAN_KEYRING: expected a keyring") for fault in found)
    assert "s3cret" not in repr(found)


def test_a_fault_in_a_url_with_a_password_does_not_show_it() -> None:
    (fault,) = faults({"DATABASE_URL": "postgres//me:s3cret@db/dragoman"})
    assert "s3cret" not in fault


@pytest.mark.parametrize(
    ("variable", "text", "value"),
    [
        (
            "CORS_ORIGINS",
            " https://App.test/, http://localhost:3000",
            "https://app.test,http://localhost:3000",
        ),
        ("CORS_ORIGINS", "*", "*"),
        ("PUBLIC_HOSTS", "Dragoman.Example.com., b", "dragoman.example.com,b"),
        ("TRUSTED_PROXIES", "10.0.0.0/8, 192.0.2.1,::1", "10.0.0.0/8,192.0.2.1/32,::1/128"),
    ],
)
def test_who_may_call_from_where_is_read_in_one_spelling(
    variable: str, text: str, value: str
) -> None:
    settings = config.load({f"DRAGOMAN_{variable}": text})
    assert getattr(settings, variable.lower()) == value


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("CORS_ORIGINS", "app.test"),
        ("CORS_ORIGINS", "https://app.test/path"),
        ("CORS_ORIGINS", "https://"),
        ("CORS_ORIGINS", "https://me@app.test"),
        ("CORS_ORIGINS", "https://app.test:port"),
        ("CORS_ORIGINS", "null"),
        ("CORS_ORIGINS", "https://[::1"),
        ("CORS_ORIGINS", "ftp://app.test"),
        ("PUBLIC_HOSTS", "https://app.test"),
        ("PUBLIC_HOSTS", "app.test:8642"),
        ("PUBLIC_HOSTS", "*.app.test"),
        ("TRUSTED_PROXIES", "proxy.test"),
        ("TRUSTED_PROXIES", "10.0.0.1/8"),
    ],
)
def test_a_spelling_that_means_nothing_is_refused(variable: str, text: str) -> None:
    (fault,) = faults({f"DRAGOMAN_{variable}": text})
    assert fault.startswith(f"DRAGOMAN_{variable}: expected a comma-separated list of ")
