"""Where the embedded Valkey's socket goes, and how it is named."""

from __future__ import annotations

import stat
import tempfile
from pathlib import Path

import pytest

from deploy import valkey
from shared.config import load


def test_the_socket_is_in_a_folder_of_the_data_directory_that_only_its_owner_enters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(valkey, "LONGEST_SOCKET_PATH", len(str(tmp_path / "run" / "v.sock")))
    (tmp_path / "run").mkdir(mode=0o755)
    socket = valkey.place_socket(tmp_path)
    assert socket == tmp_path / "run" / "v.sock"
    assert stat.S_IMODE(socket.parent.stat().st_mode) == 0o700


def test_a_path_that_a_socket_cannot_have_is_replaced_by_a_temporary_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "t").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "t"))
    deep = tmp_path / ("long" * 25)
    deep.mkdir()
    socket = valkey.place_socket(deep)
    assert socket.parent.parent == tmp_path / "t"
    assert stat.S_IMODE(socket.parent.stat().st_mode) == 0o700
    assert not (deep / "run").exists()


def test_bytes_count_not_characters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data_dir = tmp_path / "ü"
    data_dir.mkdir()
    socket = data_dir / "run" / "v.sock"
    monkeypatch.setattr(valkey, "LONGEST_SOCKET_PATH", len(str(socket)))
    placed = valkey.place_socket(data_dir)
    assert placed != socket
    placed.parent.rmdir()


def test_its_url_is_one_that_the_settings_accept_whatever_the_path_has_in_it() -> None:
    url = valkey.url(Path("/data/my dir#1?/run/v.sock"))
    assert url == "unix:///data/my%20dir%231%3F/run/v.sock?db=0"
    assert load({"REDIS_URL": url}).redis_url == url


def test_the_binary_comes_from_the_package() -> None:
    assert valkey.binary().name == "valkey-server"


def test_what_it_says_at_each_start_and_stop_is_no_news_but_a_full_disk_is() -> None:
    at = "29290:M 23 Nov 2026 00:27:27.109 # "
    assert not valkey.is_news(f"{at}WARNING Memory overcommit must be enabled! Without it, …")
    assert not valkey.is_news("29290:signal-handler (1795) Received SIGTERM scheduling shutdown...")
    assert not valkey.is_news(f"{at}Valkey is now ready to exit, bye bye...")
    assert valkey.is_news(f"{at}Error writing to the AOF file: No space left on device")
