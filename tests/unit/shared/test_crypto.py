"""A sealed value opens in its own place, with its own keyring, and nowhere else."""

from __future__ import annotations

import pickle

import pytest

from shared.crypto import SealBroken, Sealer, sealed_with
from shared.keyring import Keyring
from shared.telemetry import Secret

PLACE = {"table": "provider", "row": "prov_1", "column": "api_key_sealed"}


def test_what_is_sealed_opens_in_its_place() -> None:
    sealer = Sealer(Keyring.generate())
    sealed = sealer.seal(b"sk-canary", **PLACE)
    assert sealed.startswith("v1.")
    assert "canary" not in sealed
    assert sealer.open(sealed, **PLACE) == b"sk-canary"


@pytest.mark.parametrize("part", ["table", "row", "column"])
def test_a_sealed_value_moved_elsewhere_does_not_open(part: str) -> None:
    sealer = Sealer(Keyring.generate())
    sealed = sealer.seal(b"secret", **PLACE)
    with pytest.raises(SealBroken):
        sealer.open(sealed, **(PLACE | {part: "other"}))


@pytest.mark.parametrize("damage", ["", "v1", "v2.a.b.c", "v1.x.y.z", "v1.€.€.€"])
def test_a_damaged_value_is_refused_without_its_content(damage: str) -> None:
    with pytest.raises(SealBroken):
        Sealer(Keyring.generate()).open(damage, **PLACE)


def test_a_bit_flipped_anywhere_is_noticed() -> None:
    sealer = Sealer(Keyring.generate())
    sealed = sealer.seal(b"secret", **PLACE)
    flipped = sealed[:-2] + ("A" if sealed[-2] != "A" else "B") + sealed[-1]
    with pytest.raises(SealBroken):
        sealer.open(flipped, **PLACE)


def test_another_keyring_opens_nothing() -> None:
    sealed = Sealer(Keyring.generate()).seal(b"secret", **PLACE)
    with pytest.raises(SealBroken, match="keyring"):
        Sealer(Keyring.generate()).open(sealed, **PLACE)


def test_an_older_key_still_opens_what_it_sealed() -> None:
    old = Keyring.generate()
    sealed = Sealer(old).seal(b"secret", **PLACE)
    new = Keyring.generate()
    both = Keyring(new.primary, old.keys | new.keys, old.pepper)
    assert Sealer(both).open(sealed, **PLACE) == b"secret"


def test_equal_texts_have_equal_fingerprints_under_one_keyring_only() -> None:
    one, other = Sealer(Keyring.generate()), Sealer(Keyring.generate())
    assert one.fingerprint("k") == one.fingerprint("k") != one.fingerprint("l")
    assert one.fingerprint("k") != other.fingerprint("k")


@pytest.mark.parametrize(
    ("sealed", "kid"), [("v1.ab.c.d", "ab"), ("", ""), ("v1.ab", ""), ("plain text", "")]
)
def test_a_sealed_value_names_its_key(sealed: str, kid: str) -> None:
    assert sealed_with(sealed) == kid


def test_a_secret_shows_itself_only_when_asked_by_name() -> None:
    secret = Secret("sk-canary")
    assert "canary" not in f"{secret} {secret!r} {[secret]}"
    assert secret.reveal() == "sk-canary"
    with pytest.raises(TypeError):
        pickle.dumps(secret)
