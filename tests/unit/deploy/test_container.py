"""The image's entry point: services by their names, all else as `./dragoman` does it."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from deploy import container

ROOT = Path(__file__).parents[3]


def run(*words: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("DRAGOMAN_")}
    return subprocess.run(
        [sys.executable, "-P", "-m", "deploy.container", *words],
        env={**inherited, "PYTHONPATH": str(ROOT), **env},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_service_says_itself_that_its_configuration_is_unusable(tmp_path: Path) -> None:
    ended = run("beat", env={"TMPDIR": str(tmp_path), "DRAGOMAN_PORT": "0"})
    assert (ended.returncode, ended.stderr.partition(":")[0]) == (78, "DRAGOMAN_PORT")
    assert run("healthy", "beat", env={"TMPDIR": str(tmp_path)}).returncode == 1
    # The image's own check, which is not told what runs.
    assert run("healthy", env={"TMPDIR": str(tmp_path)}).returncode == 1
    (tmp_path / "dragoman-ready").write_bytes(b"\n")
    assert run("healthy", env={"TMPDIR": str(tmp_path)}).returncode == 0


def test_a_container_that_runs_a_command_is_well_while_it_runs(tmp_path: Path) -> None:
    assert run("healthy", env={"TMPDIR": str(tmp_path)}).returncode == 0


def test_a_command_is_what_dragoman_makes_of_it() -> None:
    assert run("--help", env={}).stdout.startswith("usage: dragoman")
    assert run(env={}).stdout.startswith("usage: dragoman")
    assert "invalid choice" in run("nonsense", env={}).stderr


def test_a_service_is_healthy_once_it_has_announced_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert not container.healthy("beat", {})
    (tmp_path / "dragoman-ready").touch()
    assert not container.healthy("beat", {})
    (tmp_path / "dragoman-ready").write_bytes(b"\n")
    assert container.healthy("beat", {})


def test_a_registry_must_answer_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (tmp_path / "dragoman-ready").write_bytes(b"\n")
    asked: list[tuple[str, object]] = []

    class Connection:
        status = 200

        def __init__(self, host: str, port: int, timeout: float) -> None:
            asked.append((host, port))

        def request(self, method: str, path: str) -> None:
            asked.append((method, path))
            if self.status == 0:
                raise ConnectionRefusedError

        def getresponse(self) -> Connection:
            return self

        def close(self) -> None:
            """Nothing is open."""

    monkeypatch.setattr(container, "HTTPConnection", Connection)
    assert container.healthy("registry", {"DRAGOMAN_HOST": "0.0.0.0", "DRAGOMAN_PORT": "8642"})
    assert asked == [("127.0.0.1", 8642), ("GET", "/health/live")]
    for status in (503, 0):
        Connection.status = status
        assert not container.healthy("registry", {})
