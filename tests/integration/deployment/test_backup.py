"""A copy of a busy SQLite database is whole, and all that it takes with its keyring."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api import Api
from tests.eventually import eventually
from tests.integration.registry.conftest import Process, Stage
from tests.system import ROOT, free_port


def dragoman(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "deploy", *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """An installation on SQLite."""
    stage = Stage(tmp_path / "data")
    stage.valkey.start()
    yield stage
    stage.close()


class Load:
    """Four callers submit until the block ends; `ids` are the accepted jobs."""

    def __init__(self, api: Api, model: str) -> None:
        self.ids: list[str] = []
        self._api, self._model = api, model
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._submit) for _ in range(4)]

    def _submit(self) -> None:
        while not self._stop.is_set():
            self.ids.append(self._api.submit(self._model))

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(20)


def test_a_copy_taken_under_load_is_restored_with_its_keyring_and_serves(
    stage: Stage, tmp_path: Path
) -> None:
    folder, copy = Path(stage.environ["DRAGOMAN_DATA_DIR"]), tmp_path / "copy.db"
    with stage.process() as process, Load(process.api, f"{stage.provider(process)}/m") as load:
        eventually(lambda: len(load.ids) > 50, 20)
        before = list(load.ids)
        told = dragoman("backup", str(copy), "--data-dir", str(folder))
        known = len(load.ids)
        eventually(lambda: len(load.ids) > known + 10, 20)
    assert told.returncode == 0, told.stderr
    assert copy.stat().st_mode & 0o777 == 0o600
    assert [file.name for file in tmp_path.iterdir() if file.name.startswith("copy")] == ["copy.db"]

    restored = tmp_path / "restored"
    restored.mkdir(mode=0o700)
    shutil.copy(copy, restored / "dragoman.db")
    refused = dragoman("migrate", "--data-dir", str(restored))
    assert refused.returncode == 78
    assert "Restore your copy" in refused.stderr
    shutil.copy(folder / "keyring.json", restored)
    migrated = dragoman("migrate", "--data-dir", str(restored))
    assert migrated.returncode == 0, migrated.stderr
    assert "Made" not in migrated.stdout
    environ = {**stage.environ, "DRAGOMAN_DATA_DIR": str(restored)}
    process = Process(environ, free_port(), stage.key, tmp_path / "log")
    try:
        for job_id in before:
            assert process.api.job(job_id)["status"] == "queued"
        path = f"/v1/chat/completions/{before[-1]}/messages"
        assert process.api.http.get(path).json()["data"][0]["content"] == "Hello"
    finally:
        process.kill()


def test_what_cannot_be_copied_is_refused_and_nothing_is_left(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, there = Path(stage.environ["DRAGOMAN_DATA_DIR"]), tmp_path / "there"
    there.write_text("mine")
    exists = dragoman("backup", str(there), "--data-dir", str(folder))
    assert (exists.returncode, there.read_text()) == (1, "mine")
    assert "Expected a new file" in exists.stderr
    nothing = dragoman("backup", str(tmp_path / "new"), "--data-dir", str(tmp_path / "empty"))
    assert "got no file" in nothing.stderr
    empty = tmp_path / "made"
    empty.mkdir()
    (empty / "dragoman.db").touch()
    hollow = dragoman("backup", str(tmp_path / "new"), "--data-dir", str(empty))
    assert (hollow.returncode, "holds no installation" in hollow.stderr) == (1, True)
    nowhere = dragoman("backup", str(tmp_path / "no" / "folder"), "--data-dir", str(folder))
    assert "could not be written" in nowhere.stderr
    monkeypatch.setenv("DATABASE_URL", "postgresql://h/x")
    assert "pg_dump" in dragoman("backup", str(tmp_path / "new")).stderr
    damaged = folder / "dragoman.db"
    stage.database.dispose()
    with damaged.open("r+b") as file:
        file.seek(8192)
        file.write(b"\xff" * 8192)
    monkeypatch.delenv("DATABASE_URL")
    spoilt = dragoman("backup", str(tmp_path / "new"), "--data-dir", str(folder))
    assert spoilt.returncode == 1
    assert "could not be written" in spoilt.stderr
    assert not list(tmp_path.glob("new*"))
