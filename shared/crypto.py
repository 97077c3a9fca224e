"""Sealing: AES-256-GCM under a keyring, bound to the place where the ciphertext lives.

A sealed value reads `v1.<kid>.<nonce>.<ciphertext>` (base64url without padding). Its associated
data are `kid|table|row|column`, so that a ciphertext moved to another row does not open.

A sealer follows its keyring's file: a rotation of the master key needs no restart.
"""

from __future__ import annotations

import binascii
import hashlib
import hmac
import logging
import math
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from shared.config import Settings
from shared.errors import ConfigurationError, DragomanError
from shared.keyring import Keyring, KeyringFile, Signature, decode, encode

LOOK_SECONDS: Final = 1.0  # between two looks at the keyring's file
_NONCE_BYTES: Final = 12

logger = logging.getLogger(__name__)


class SealBroken(DragomanError):
    """A sealed value does not open: wrong place, wrong keyring, or changed bytes."""


class UnknownKey(SealBroken):
    """The keyring in force does not hold the key that sealed the value; another one may."""


@dataclass(frozen=True, slots=True)
class _Ciphers:
    """One state of a sealer; it is replaced whole, so that no thread sees half of it."""

    primary: str
    by_kid: Mapping[str, AESGCM]


class Sealer:
    """Seals and opens values for one keyring; safe to share between threads and greenlets.

    With a `file` it looks there before sealing, once a second at most, and at once when it meets
    an unknown key. A file that cannot be used leaves the keyring as it was. A key that was ever
    held goes on opening: values that were read before it left the file are on their way.
    """

    # No lock: gevent's are not safe between its loop and native threads. Two that look at once
    # both read the file, and the later of them decides until the next look.

    def __init__(
        self,
        keyring: Keyring,
        *,
        file: KeyringFile | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ciphers = _Ciphers(keyring.primary, _ciphers_of(keyring))
        self._pepper = keyring.pepper
        self._file = file
        self._clock = clock
        self._look_at = math.inf if file is None else -math.inf
        self._seen: Signature | None = None
        self._complaint = ""

    def seal(self, plain: bytes, *, table: str, row: str, column: str) -> str:
        """`plain` as a sealed value that opens only at this place."""
        kid, nonce, ciphertext = self._encrypted(plain, table, row, column)
        return f"v1.{kid}.{encode(nonce)}.{encode(ciphertext)}"

    def seal_bytes(self, plain: bytes, *, table: str, row: str, column: str) -> bytes:
        """As `seal`, for a message that is not stored: `v1.<kid>.`, nonce and ciphertext."""
        kid, nonce, ciphertext = self._encrypted(plain, table, row, column)
        return b"v1.%b.%b%b" % (kid.encode(), nonce, ciphertext)

    def open(self, sealed: str, *, table: str, row: str, column: str) -> bytes:
        """The bytes that were sealed at this place; raises SealBroken."""
        try:
            version, kid, nonce, ciphertext = sealed.split(".")
            if version != "v1":
                raise SealBroken(f"{table} {row} {column}: sealed by a newer version ({version})")
            return self._decrypted(kid, decode(nonce), decode(ciphertext), table, row, column)
        except (ValueError, binascii.Error):
            raise _not_here(table, row, column) from None

    def open_bytes(self, sealed: bytes, *, table: str, row: str, column: str) -> bytes:
        """What `seal_bytes` sealed for this place; raises SealBroken."""
        try:
            version, kid, rest = sealed.split(b".", 2)
            if version != b"v1":
                raise ValueError
            nonce, ciphertext = rest[:_NONCE_BYTES], rest[_NONCE_BYTES:]
            return self._decrypted(kid.decode(), nonce, ciphertext, table, row, column)
        except ValueError:
            raise _not_here(table, row, column) from None

    def renewed(self, sealed: str, *, table: str, row: str, column: str) -> str:
        """The same content under the primary key of now; raises SealBroken.

        What was sealed long before it is written may name a key that is on its way out.
        """
        if self._clock() >= self._look_at:
            self._look()
        if sealed.startswith(f"v1.{self._ciphers.primary}."):
            return sealed
        plain = self.open(sealed, table=table, row=row, column=column)
        return self.seal(plain, table=table, row=row, column=column)

    def fingerprint(self, text: str) -> str:
        """32 hex digits by which equal texts are recognised; useless without the keyring."""
        return hmac.new(self._pepper, text.encode(), hashlib.sha256).hexdigest()[:32]

    def _encrypted(
        self, plain: bytes, table: str, row: str, column: str
    ) -> tuple[str, bytes, bytes]:
        if self._clock() >= self._look_at:
            self._look()
        ciphers = self._ciphers
        kid = ciphers.primary
        nonce = os.urandom(_NONCE_BYTES)
        return (
            kid,
            nonce,
            ciphers.by_kid[kid].encrypt(nonce, plain, _place(kid, table, row, column)),
        )

    def _decrypted(
        self, kid: str, nonce: bytes, ciphertext: bytes, table: str, row: str, column: str
    ) -> bytes:
        cipher = self._ciphers.by_kid.get(kid) or self._cipher_by_now(kid)
        if cipher is None:
            raise UnknownKey(
                f"{table} {row} {column}: sealed with key {kid}, which the keyring does not hold"
            )
        try:
            return cipher.decrypt(nonce, ciphertext, _place(kid, table, row, column))
        except (ValueError, InvalidTag):
            raise _not_here(table, row, column) from None

    def _cipher_by_now(self, kid: str) -> AESGCM | None:
        """The cipher of a key that another process may have begun to use a moment ago."""
        self._look()
        return self._ciphers.by_kid.get(kid)

    def _look(self) -> None:
        if self._file is None:
            return
        self._look_at = self._clock() + LOOK_SECONDS
        try:
            if self._file.signature() == self._seen and not self._complaint:
                return
            keyring, signature = self._file.read()
            if keyring.pepper != self._pepper:
                raise ConfigurationError(
                    [
                        f"{self._file.origin}: expected the keyring of this installation, got "
                        "another one's"
                    ]
                )
        except OSError as fault:
            self._complain(self._file.unreadable(fault))
        except ConfigurationError as fault:
            self._complain(fault)
        else:
            self._take(keyring, signature)

    def _take(self, keyring: Keyring, signature: Signature) -> None:
        before = self._ciphers
        if before.primary != keyring.primary or self._complaint:
            logger.info("sealing with the keyring's file as it is now: key %s", keyring.primary)
        self._ciphers = _Ciphers(keyring.primary, {**before.by_kid, **_ciphers_of(keyring)})
        self._seen = signature
        self._complaint = ""

    def _complain(self, fault: ConfigurationError) -> None:
        sentence = "; ".join(fault.faults)
        if sentence != self._complaint:
            self._complaint = sentence
            logger.error("the keyring stays as it was: %s", sentence)


def sealed_with(sealed: str) -> str:
    """The id of the key that a value was sealed with; "" for what is no sealed value."""
    parts = sealed.split(".", 2)
    return parts[1] if len(parts) == 3 else ""


def _ciphers_of(keyring: Keyring) -> dict[str, AESGCM]:
    return {kid: AESGCM(key) for kid, key in keyring.keys.items()}


def _not_here(table: str, row: str, column: str) -> SealBroken:
    return SealBroken(f"{table} {row} {column}: the sealed value does not open here")


def _place(kid: str, table: str, row: str, column: str) -> bytes:
    return f"{kid}|{table}|{row}|{column}".encode()


def load_keyring(settings: Settings) -> Keyring:
    """The keyring in force, from the environment or its file.

    Raises ConfigurationError when there is none, it is unreadable, or its file is open to others.
    """
    if settings.keyring is not None:
        return settings.keyring
    return KeyringFile(settings.keyring_file).read()[0]


def load_sealer(settings: Settings) -> Sealer:
    """The sealer of this configuration; it follows a keyring that comes from a file.

    Raises ConfigurationError as `load_keyring` does.
    """
    file = KeyringFile(settings.keyring_file) if settings.keyring is None else None
    return Sealer(load_keyring(settings), file=file)
