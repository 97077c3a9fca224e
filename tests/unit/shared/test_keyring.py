"""A keyring is written, read and moved along one key at a time; a broken one is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from shared.errors import ConfigurationError
from shared.keyring import Keyring, KeyringFile

SECRET = "A" * 43  # 32 bytes


def test_a_keyring_survives_being_written_and_hides_its_keys() -> None:
    for keyring in (Keyring.generate(), Keyring.generate().with_coming_key()):
        assert Keyring.parse(keyring.dump(), origin="here") == keyring
        document = json.loads(keyring.dump())
        for secret in (*document["keys"].values(), document["pepper"]):
            assert secret not in repr(keyring)


def written(**changes: object) -> str:
    document = {"primary": "a", "keys": {"a": SECRET}, "pepper": SECRET}
    return json.dumps(document | changes)


def test_what_is_written_here_is_a_keyring() -> None:
    assert Keyring.parse(written(), origin="here").primary == "a"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[]",
        "null",
        "[" * 100_000,
        written(primary="b"),
        written(keys={}),
        written(keys=[]),
        written(keys={"a": "s3cret"}),
        written(keys={"a": SECRET, "b": "s3cret"}),
        written(keys={"a": None}),
        written(pepper=""),
        written(pepper="s3cret"),
        written(next="b"),
        written(next="a"),
        written(next={}),
        written(primary="a.b", keys={"a.b": SECRET}),
        written(primary="a|b", keys={"a|b": SECRET}),
        written(primary="", keys={"": SECRET}),
    ],
)
def test_a_broken_keyring_is_refused_without_quoting_it(text: str) -> None:
    with pytest.raises(ConfigurationError, match="here: expected a keyring") as caught:
        Keyring.parse(text, origin="here")
    assert "s3cret" not in str(caught.value)


def test_a_key_is_known_then_seals_then_only_opens_then_is_gone() -> None:
    one = Keyring.generate()
    two = one.with_coming_key()
    assert (two.primary, two.old, len(two.keys)) == (one.primary, frozenset(), 2)
    three = two.promoted()
    assert (three.primary, three.coming, three.old) == (two.coming, None, frozenset({one.primary}))
    four = three.without(three.old)
    assert (set(four.keys), four.pepper) == ({three.primary}, one.pepper)


def test_a_key_in_use_is_never_taken_off_and_nothing_is_promoted_that_is_not_there() -> None:
    keyring = Keyring.generate().with_coming_key()
    for kid in keyring.keys:
        with pytest.raises(ValueError, match="old keys only"):
            keyring.without({kid})
    with pytest.raises(ValueError, match="coming key"):
        Keyring.generate().promoted()


def test_the_signature_of_the_file_is_that_of_what_was_read(tmp_path: Path) -> None:
    file = KeyringFile(tmp_path / "keyring.json")
    for _ in range(2):  # the second time as a new file of the same size
        file.path.unlink(missing_ok=True)
        file.path.touch(0o600)
        file.path.write_text(Keyring.generate().dump())
        keyring, signature = file.read()
        assert (keyring.dump(), signature) == (file.path.read_text(), file.signature())
    file.path.chmod(0o640)
    assert file.signature() != signature
    with pytest.raises(ConfigurationError, match=r"0600.*got 640"):
        file.read()
