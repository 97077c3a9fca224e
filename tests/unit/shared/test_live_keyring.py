"""A sealer follows its keyring's file, and no fault of the file takes the keyring away."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from shared.crypto import LOOK_SECONDS, SealBroken, Sealer, sealed_with
from shared.keyring import Keyring, KeyringFile

PLACE = {"table": "provider", "row": "prov_1", "column": "api_key_sealed"}


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Live:
    """A keyring's file and a sealer that follows it; `reads` counts the reads of the file."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.file = KeyringFile(folder / "keyring.json")
        self.keyring = Keyring.generate()
        self.clock = Clock()
        self.write(self.keyring)
        self.reads = 0
        read = KeyringFile.read

        def counted(file: KeyringFile) -> object:
            self.reads += 1
            return read(file)

        monkeypatch.setattr(KeyringFile, "read", counted)
        self.sealer = Sealer(self.keyring, file=self.file, clock=self.clock)

    def write(self, keyring: Keyring) -> None:
        """Replace the file, as the rotation does."""
        self.put(keyring.dump())

    def put(self, text: str) -> None:
        beside = self.file.path.with_name("beside")
        beside.touch(0o600)
        beside.write_text(text)
        beside.rename(self.file.path)

    def key_in_use(self) -> str:
        return sealed_with(self.sealer.seal(b"x", **PLACE))


@pytest.fixture
def live(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Live:
    return Live(tmp_path, monkeypatch)


def test_a_new_primary_seals_within_a_second(live: Live) -> None:
    assert live.key_in_use() == live.keyring.primary
    rotated = live.keyring.with_coming_key().promoted()
    live.write(rotated)
    assert live.key_in_use() == live.keyring.primary  # not looked at yet
    live.clock.now += LOOK_SECONDS
    assert live.key_in_use() == rotated.primary


def test_an_unchanged_file_is_read_once_and_looked_at_once_a_second(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = 0
    signature = KeyringFile.signature

    def counted(file: KeyringFile) -> object:
        nonlocal looks
        looks += 1
        return signature(file)

    monkeypatch.setattr(KeyringFile, "signature", counted)
    for _ in range(100):
        live.clock.now += LOOK_SECONDS / 10
        live.key_in_use()
    assert (live.reads, looks) == (1, 10)


def test_a_value_under_a_key_that_another_process_began_to_use_opens_at_once(live: Live) -> None:
    live.key_in_use()
    rotated = live.keyring.with_coming_key().promoted()
    live.write(rotated)
    sealed = Sealer(rotated).seal(b"theirs", **PLACE)
    assert live.sealer.open(sealed, **PLACE) == b"theirs"


def test_a_key_that_left_the_file_still_opens_what_is_on_its_way(live: Live) -> None:
    on_its_way = live.sealer.seal(b"x", **PLACE)
    rotated = live.keyring.with_coming_key().promoted()
    live.write(rotated.without(rotated.old))
    live.clock.now += LOOK_SECONDS
    assert live.key_in_use() == rotated.primary
    assert live.sealer.open(on_its_way, **PLACE) == b"x"


def test_a_value_on_its_way_is_renewed_before_it_is_written(live: Live) -> None:
    kept = live.sealer.seal(b"x", **PLACE)
    assert live.sealer.renewed(kept, **PLACE) is kept
    rotated = live.keyring.with_coming_key().promoted()
    live.write(rotated)
    live.clock.now += LOOK_SECONDS
    renewed = live.sealer.renewed(kept, **PLACE)
    assert sealed_with(renewed) == rotated.primary
    assert live.sealer.open(renewed, **PLACE) == b"x"


def _unlink(live: Live) -> None:
    live.file.path.unlink()


def _open_to_all(live: Live) -> None:
    live.write(live.keyring.with_coming_key().promoted())
    live.file.path.chmod(0o644)


@pytest.mark.parametrize(
    "spoil",
    [
        _unlink,
        _open_to_all,
        lambda live: live.put('{"primary": "s3cret'),
        lambda live: live.put(""),
        lambda live: live.write(Keyring.generate()),
    ],
    ids=["gone", "open to all", "torn", "empty", "of another installation"],
)
def test_a_file_that_cannot_be_used_leaves_the_keyring_and_is_told_once(
    live: Live, caplog: pytest.LogCaptureFixture, spoil: Callable[[Live], None]
) -> None:
    sealed = live.sealer.seal(b"x", **PLACE)
    spoil(live)
    for _ in range(5):
        live.clock.now += LOOK_SECONDS
        assert live.key_in_use() == live.keyring.primary
        assert live.sealer.open(sealed, **PLACE) == b"x"
    (told,) = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert str(live.file.path) in told.getMessage()
    assert "s3cret" not in caplog.text
    rotated = live.keyring.with_coming_key().promoted()
    live.write(rotated)
    live.clock.now += LOOK_SECONDS
    assert live.key_in_use() == rotated.primary


def test_a_file_that_is_written_in_place_while_it_is_read_is_read_again(live: Live) -> None:
    rotated = live.keyring.with_coming_key().promoted()
    live.file.path.write_text(rotated.dump()[:40])
    assert live.key_in_use() == live.keyring.primary
    live.file.path.write_text(rotated.dump())
    live.clock.now += LOOK_SECONDS
    assert live.key_in_use() == rotated.primary


def test_a_keyring_without_a_file_stays_as_it_is() -> None:
    keyring = Keyring.generate()
    sealer = Sealer(keyring)
    unknown = Sealer(keyring.with_coming_key().promoted()).seal(b"x", **PLACE)
    with pytest.raises(SealBroken, match="keyring"):
        sealer.open(unknown, **PLACE)


def test_threads_that_share_a_sealer_never_meet_half_a_keyring(live: Live) -> None:
    faults: list[Exception] = []
    done = threading.Event()

    def use() -> None:
        try:
            while not done.is_set():
                live.clock.now += LOOK_SECONDS
                sealed = live.sealer.seal(b"x", **PLACE)
                assert live.sealer.open(sealed, **PLACE) == b"x"
        except Exception as fault:
            faults.append(fault)

    threads = [threading.Thread(target=use) for _ in range(4)]
    for thread in threads:
        thread.start()
    keyring = live.keyring
    for _ in range(50):
        keyring = keyring.with_coming_key().promoted()
        live.write(keyring.without(keyring.old))
    done.set()
    for thread in threads:
        thread.join()
    assert faults == []
    live.clock.now += LOOK_SECONDS
    assert live.key_in_use() == keyring.primary
