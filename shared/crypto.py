"""Sealing: AES-256-GCM under a keyring, bound to the place where the ciphertext lives.

A sealed value reads `v1.<kid>.<nonce>.<ciphertext>` (base64url without padding). Its associated
data are `kid|table|row|column`, so that a ciphertext moved to another row does not open.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import os
import secrets
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from shared.config import Settings
from shared.errors import ConfigurationError, DragomanError

_NONCE_BYTES = 12


class SealBroken(DragomanError):
    """A sealed value does not open: wrong place, wrong keyring, or changed bytes."""


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


@dataclass(frozen=True, slots=True)
class Keyring:
    """The master keys by key id, the id that seals new values, and the key of our fingerprints.

    As JSON: `{"primary": kid, "keys": {kid: base64 of 32 bytes}, "pepper": base64 of 32 bytes}`.
    """

    primary: str
    keys: dict[str, bytes] = field(repr=False)
    pepper: bytes = field(repr=False)

    @classmethod
    def generate(cls) -> Keyring:
        """A keyring with one fresh key."""
        kid = secrets.token_hex(4)
        return cls(primary=kid, keys={kid: os.urandom(32)}, pepper=os.urandom(32))

    @classmethod
    def parse(cls, text: str, *, origin: str) -> Keyring:
        """The keyring written as JSON in `text`; `origin` names it in the fault.

        Raises ConfigurationError without quoting the content.
        """
        expected = f"{origin}: expected a keyring as written by `dragoman migrate`"
        try:
            document = json.loads(text)
            keys = {str(kid): _decode(key) for kid, key in document["keys"].items()}
            ring = cls(str(document["primary"]), keys, _decode(document["pepper"]))
        except (ValueError, KeyError, TypeError, AttributeError, binascii.Error):
            raise ConfigurationError([f"{expected}, got something that is no such JSON"]) from None
        if ring.primary not in ring.keys or any(len(key) != 32 for key in ring.keys.values()):
            raise ConfigurationError([f"{expected}, got no primary, or a key of another size"])
        return ring

    def dump(self) -> str:
        """The JSON that `parse` reads. It is a secret: write it to a 0600 file only."""
        keys = {kid: _encode(key) for kid, key in self.keys.items()}
        document = {"primary": self.primary, "keys": keys, "pepper": _encode(self.pepper)}
        return json.dumps(document, indent=1)


class Sealer:
    """Seals and opens values for one keyring; safe to share between threads."""

    def __init__(self, keyring: Keyring) -> None:
        self._primary = keyring.primary
        self._ciphers = {kid: AESGCM(key) for kid, key in keyring.keys.items()}
        self._pepper = keyring.pepper

    def seal(self, plain: bytes, *, table: str, row: str, column: str) -> str:
        """`plain` as a sealed value that opens only at this place."""
        nonce = os.urandom(_NONCE_BYTES)
        place = f"{self._primary}|{table}|{row}|{column}".encode()
        ciphertext = self._ciphers[self._primary].encrypt(nonce, plain, place)
        return f"v1.{self._primary}.{_encode(nonce)}.{_encode(ciphertext)}"

    def open(self, sealed: str, *, table: str, row: str, column: str) -> bytes:
        """The bytes that were sealed at this place; raises SealBroken."""
        place = f"{table} {row} {column}"
        try:
            version, kid, nonce, ciphertext = sealed.split(".")
            if version != "v1":
                raise SealBroken(f"{place}: sealed by a newer version ({version})")
            if kid not in self._ciphers:
                raise SealBroken(f"{place}: sealed with key {kid}, which the keyring does not hold")
            associated = f"{kid}|{table}|{row}|{column}".encode()
            return self._ciphers[kid].decrypt(_decode(nonce), _decode(ciphertext), associated)
        except (ValueError, binascii.Error, InvalidTag):
            raise SealBroken(f"{place}: the sealed value does not open here") from None

    def fingerprint(self, text: str) -> str:
        """32 hex digits by which equal texts are recognised; useless without the keyring."""
        return hmac.new(self._pepper, text.encode(), hashlib.sha256).hexdigest()[:32]


def load_keyring(settings: Settings) -> Keyring:
    """The keyring in force, from the environment or its file.

    Raises ConfigurationError when there is none, it is unreadable, or its file is open to others.
    """
    if settings.keyring is not None:
        return Keyring.parse(settings.keyring, origin="DRAGOMAN_KEYRING")
    path = settings.keyring_file
    origin = f"DRAGOMAN_KEYRING_FILE ({path})"
    try:
        mode = path.stat().st_mode
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as fault:
        reason = getattr(fault, "strerror", None) or "not UTF-8"
        raise ConfigurationError(
            [f"{origin}: expected the keyring that `dragoman migrate` makes, got: {reason}"]
        ) from None
    if mode & 0o077:
        raise ConfigurationError(
            [f"{origin}: expected a file that only its owner can read (0600), got {mode & 0o777:o}"]
        )
    return Keyring.parse(text, origin=origin)
