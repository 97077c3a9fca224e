"""The keyring: the master keys, how they are written, and the file that holds them.

A key is known by all, then seals, then only opens, then is gone: `coming`, `primary`, one of
`old`, absent. `dragoman keys rotate-master` moves keys along.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import re
import secrets
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, TypeAlias

from shared.errors import ConfigurationError

KEY_BYTES: Final = 32
_KEY_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")  # it stands in sealed values, between dots

Signature: TypeAlias = tuple[int, int, int, int]


def encode(raw: bytes) -> str:
    """Base64url without padding."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")


def decode(text: str) -> bytes:
    """What `encode` wrote; raises ValueError."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


@dataclass(frozen=True, slots=True)
class Keyring:
    """The master keys by key id, the id that seals new values, and the key of our fingerprints.

    As JSON: `{"primary": kid, "keys": {kid: base64 of 32 bytes}, "pepper": base64 of 32 bytes}`,
    and `"next": kid` while a key waits for all processes to know it. The pepper never changes:
    it is also what tells the keyrings of two installations apart.
    """

    primary: str
    keys: dict[str, bytes] = field(repr=False)
    pepper: bytes = field(repr=False)
    coming: str | None = None

    @classmethod
    def generate(cls) -> Keyring:
        """A keyring with one fresh key."""
        kid = secrets.token_hex(4)
        return cls(kid, {kid: os.urandom(KEY_BYTES)}, os.urandom(KEY_BYTES))

    @classmethod
    def parse(cls, text: str, *, origin: str) -> Keyring:
        """The keyring written as JSON in `text`; `origin` names it in the fault.

        Raises ConfigurationError without quoting the content.
        """
        expected = f"{origin}: expected a keyring as written by `dragoman migrate`"
        try:
            document = json.loads(text)
            keys = {str(kid): decode(key) for kid, key in document["keys"].items()}
            coming = document.get("next")
            ring = cls(str(document["primary"]), keys, decode(document["pepper"]), coming)
            known = ring.primary in keys and (coming is None or coming in keys)
        except (ValueError, KeyError, TypeError, AttributeError, binascii.Error, RecursionError):
            raise ConfigurationError([f"{expected}, got something that is no such JSON"]) from None
        if not known or coming == ring.primary:
            raise ConfigurationError([f"{expected}, got no primary, or one that it does not hold"])
        if any(len(secret) != KEY_BYTES for secret in (*keys.values(), ring.pepper)):
            raise ConfigurationError([f"{expected}, got a key or a pepper of another size"])
        if not all(_KEY_ID.fullmatch(kid) for kid in keys):
            raise ConfigurationError(
                [f"{expected}, got a key id of other characters than letters, digits, - and _"]
            )
        return ring

    def dump(self) -> str:
        """The JSON that `parse` reads. It is a secret: write it to a 0600 file only."""
        keys = {kid: encode(key) for kid, key in self.keys.items()}
        document: dict[str, object] = {"primary": self.primary}
        if self.coming is not None:
            document["next"] = self.coming
        document |= {"keys": keys, "pepper": encode(self.pepper)}
        return json.dumps(document, indent=1) + "\n"

    @property
    def old(self) -> frozenset[str]:
        """The keys that only open what was sealed with them before."""
        return frozenset(self.keys) - {self.primary, self.coming}

    def with_coming_key(self) -> Keyring:
        """The same keys and a fresh one that does not seal yet."""
        kid = secrets.token_hex(4)
        return replace(self, coming=kid, keys={**self.keys, kid: os.urandom(KEY_BYTES)})

    def promoted(self) -> Keyring:
        """The same keys, the coming one as primary; raises ValueError when there is none."""
        if self.coming is None:
            raise ValueError("expected a keyring with a coming key, got one without")
        return replace(self, primary=self.coming, coming=None)

    def without(self, kids: Collection[str]) -> Keyring:
        """The same keys less some old ones; raises ValueError when one of them is not old."""
        if not self.old.issuperset(kids):
            raise ValueError("expected old keys only, got others among them")
        kept = {kid: key for kid, key in self.keys.items() if kid not in kids}
        return replace(self, keys=kept)


@dataclass(frozen=True, slots=True)
class KeyringFile:
    """The file of a keyring, which only its owner may read (0600)."""

    path: Path

    @property
    def origin(self) -> str:
        """What faults call it."""
        return f"DRAGOMAN_KEYRING_FILE ({self.path})"

    def signature(self) -> Signature:
        """What differs once the file was written or replaced (2 µs); raises OSError."""
        return _signature(self.path.stat())

    def read(self) -> tuple[Keyring, Signature]:
        """The keyring and the signature of the very file that held it.

        Raises ConfigurationError when it is unreadable, open to others, or no keyring.
        """
        try:
            with self.path.open("rb") as file:
                status = os.fstat(file.fileno())
                text = file.read().decode("utf-8")
        except (OSError, UnicodeDecodeError) as fault:
            raise self.unreadable(fault) from None
        if status.st_mode & 0o077:
            raise ConfigurationError(
                [
                    f"{self.origin}: expected a file that only its owner can read (0600), got "
                    f"{status.st_mode & 0o777:o}"
                ]
            )
        return Keyring.parse(text, origin=self.origin), _signature(status)

    def unreadable(self, fault: OSError | UnicodeDecodeError) -> ConfigurationError:
        """The error of a file that cannot be read."""
        reason = getattr(fault, "strerror", None) or "not UTF-8"
        return ConfigurationError(
            [f"{self.origin}: expected the keyring that `dragoman migrate` makes, got: {reason}"]
        )


def _signature(status: os.stat_result) -> Signature:
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
