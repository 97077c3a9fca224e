"""Where the server is, which key opens it, and where a key never goes."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import pytest

from cli.connection import Server, find
from cli.failures import NoKey


@contextmanager
def running(folder: Path, url: str) -> Iterator[None]:
    """A runner that holds its lock, as `./dragoman up` does."""
    document = {"url": url, "admin_key_file": str(folder / "admin.key"), "processes": []}
    (folder / "run.json").write_text(json.dumps(document))
    with (folder / "run.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "admin.key").write_text("dgm_admin\n")
    return tmp_path


def test_the_running_installation_is_found_with_its_key(folder: Path) -> None:
    environ = {"DRAGOMAN_DATA_DIR": str(folder)}
    with running(folder, "http://0.0.0.0:9000"):
        assert find(environ) == Server("http://127.0.0.1:9000", "dgm_admin")
    with running(folder, "http://[::]:9000"):
        assert find(environ).url == "http://[::1]:9000"


def test_what_a_dead_installation_left_is_not_believed(folder: Path) -> None:
    with running(folder, "http://127.0.0.1:9000"):
        pass
    assert find({}, data_dir=str(folder)).url == "http://127.0.0.1:8642"
    elsewhere = {"DRAGOMAN_PORT": "18642"}
    assert find(elsewhere, data_dir=str(folder)).url == "http://127.0.0.1:18642"


@pytest.mark.parametrize("port", ["http", "0", "65536", "-1", "80 ", "²", "9" * 5_000])
def test_a_port_that_is_none_is_refused(folder: Path, port: str) -> None:
    with pytest.raises(click.UsageError, match="DRAGOMAN_PORT: expected a whole number from 1"):
        find({"DRAGOMAN_PORT": port}, data_dir=str(folder))
    named = {"DRAGOMAN_PORT": port, "DRAGOMAN_URL": "http://localhost:1"}
    assert find(named, data_dir=str(folder)).url == "http://localhost:1"


def test_what_is_said_wins_over_what_is_found(folder: Path) -> None:
    (folder / "mine.key").write_text("dgm_mine")
    environ = {
        "DRAGOMAN_DATA_DIR": str(folder),
        "DRAGOMAN_URL": "https://dragoman.example/v1/",
        "DRAGOMAN_API_KEY": " dgm_env ",
    }
    with running(folder, "http://127.0.0.1:9000"):
        assert find(environ) == Server("https://dragoman.example", "dgm_env")
        chosen = find(environ, url="http://localhost:1", key_file=str(folder / "mine.key"))
    assert chosen == Server("http://localhost:1", "dgm_mine")


def test_the_admin_key_stays_on_this_machine(folder: Path) -> None:
    environ = {"DRAGOMAN_DATA_DIR": str(folder)}
    for url in ("http://127.0.0.1:1", "http://localhost:1", "http://[::1]:1"):
        assert find({**environ, "DRAGOMAN_URL": url}).key == "dgm_admin"
    for url in ("https://dragoman.example", "http://10.0.0.1:1", "http://localhost.evil.example"):
        with pytest.raises(NoKey, match="DRAGOMAN_API_KEY"):
            find({**environ, "DRAGOMAN_URL": url})


def test_without_any_key_it_says_where_one_would_be_found(tmp_path: Path) -> None:
    with pytest.raises(NoKey, match=r"admin\.key cannot be read") as told:
        find({"DRAGOMAN_DATA_DIR": str(tmp_path)})
    assert "--data-dir" in str(told.value)


@pytest.mark.parametrize("url", ["ftp://x", "http://", "http://me:pw@x", "x:y:z", "me:pw@x"])
def test_an_address_that_is_none_is_refused_without_being_shown(url: str) -> None:
    with pytest.raises(click.UsageError) as told:
        find({"DRAGOMAN_URL": url, "DRAGOMAN_API_KEY": "k"})
    assert "pw" not in told.value.message


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("localhost:8642", "http://localhost:8642"),
        ("127.0.0.1:9/v1/", "http://127.0.0.1:9"),
        ("[::1]:8642", "http://[::1]:8642"),
        ("localhost", "http://localhost"),
    ],
)
def test_this_machine_needs_no_scheme(text: str, url: str) -> None:
    assert find({"DRAGOMAN_URL": text, "DRAGOMAN_API_KEY": "k"}).url == url


@pytest.mark.parametrize("text", ["gpu-1:8642", "dragoman.example/v1", "10.0.0.7"])
def test_without_a_scheme_another_machine_is_told_with_what_to_type(text: str) -> None:
    with pytest.raises(click.UsageError, match=f"https://{text}, or http://{text}"):
        find({"DRAGOMAN_URL": text, "DRAGOMAN_API_KEY": "k"})
