"""`dragoman keys rotate-master`: a new master key for what is stored, while everything runs.

    add      a new key is in the keyring file; nothing is sealed with it yet
    use      it seals from now on; the database asks every process that starts for it
    reseal   every stored value is sealed with it
    retire   the old key leaves the keyring, once nothing is sealed with it

Each stage may be cut off anywhere and run again: what is left to do is read from the keyring file
and the database. In between, every value opens with the keyring file as it is.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from functools import partial
from typing import Final

import sqlalchemy as sa

from deploy import keyring_file
from deploy.refusal import Refusal
from deploy.resealing import Say, Store, me, reseal, unreadable
from shared.config import Settings
from shared.crypto import Sealer, load_keyring
from shared.errors import ConfigurationError
from shared.keyring import Keyring, KeyringFile
from shared.store import audit, leases, opening, sealed
from shared.store.audit import COMMAND_LINE, Action
from shared.store.opening import open_store
from shared.store.schema import installation
from shared.store.sealed import COLUMNS

WAIT_SECONDS: Final = 30.0
PASSES: Final = 20
BETWEEN_PASSES: Final = 1.0  # seconds
EXAMPLES: Final = 10


def rotate(
    settings: Settings,
    say: Say,
    *,
    stage: str | None = None,
    shared_file: bool = False,
    wait: float = WAIT_SECONDS,
) -> None:
    """Run one stage, or all; raises ConfigurationError or Refusal.

    `shared_file` says that processes on other hosts read this very file. `wait` is how long, in
    seconds, the processes get to notice a new keyring and to end what they were writing.
    """
    database, _ = open_store(settings)
    store = Store(database, me())
    rotation = Rotation(settings, store, say, wait)
    try:
        if stage in ("status", "verify"):  # these change nothing, and need not be the only one
            {"status": rotation.status, "verify": rotation.verify}[stage]()
            return
        if stage is None:
            rotation.require_one_file(shared_file=shared_file)
        store.begin(say)
        try:
            {
                None: rotation.all,
                "add": rotation.add,
                "use": rotation.use,
                "reseal": rotation.reseal,
                "retire": rotation.retire,
            }[stage]()
        finally:
            store.end()
    finally:
        database.dispose()


class Rotation:
    """The stages; each reads where things stand, and does what is left of it."""

    def __init__(self, settings: Settings, store: Store, say: Say, wait: float) -> None:
        self._settings = settings
        self._file = KeyringFile(settings.keyring_file)
        self._store = store
        self._say = say
        self._wait = wait

    def require_one_file(self, *, shared_file: bool) -> None:
        """Raise unless all processes can be expected to read one keyring file."""
        self._require_file()
        others = sorted(self._store.read(leases.living_hosts) - {socket.gethostname()})
        if others and not shared_file:
            raise Refusal(
                f"Expected every process on this host, got chat workers on {', '.join(others)}. If "
                "they read this very keyring file, say so with --shared-file. If they have copies "
                "of it, go stage by stage, as docs/keyring.md says: nothing may be sealed with a "
                "key that they do not have."
            )

    def all(self) -> None:
        """Every stage, or those that an interrupted rotation left."""
        keyring = self._keyring()
        if keyring.coming is None and not keyring.old:
            self._say(
                "Making a new master key, sealing what is stored with it, and taking the old key "
                f"off {self._file.path}. Everything may go on running. Whatever happens, run this "
                "again: it goes on where it was."
            )
            self.add()
        else:
            self._say("Going on with the rotation that was begun.")
        if self._keyring().coming is not None:
            self.use()
        self.reseal()
        self._settle()
        self.reseal()
        self.retire()

    def add(self) -> None:
        """Put a fresh key into the file, for all processes to know before it seals."""
        self._require_file()
        keyring = self._change(lambda k: k if k.coming else k.with_coming_key())
        self._say(
            f"Key {keyring.coming} is in {self._file.path}. Back that file up now, and keep the "
            "copy from before as long as backups of the database from before."
        )

    def use(self) -> None:
        """Seal with the added key from now on, and have every process that starts prove it."""
        self._require_file()
        keyring = self._keyring()
        if (kid := keyring.coming) is None:
            raise Refusal("Expected a key that waits to be used, got none. Begin with --stage add.")
        self._set_proofs(
            "use", lambda proofs: proofs | {kid: opening.prove(Sealer(keyring.promoted()))}
        )
        self._change(lambda k: k.promoted() if k.coming == kid else k)
        self._say(f"Key {kid} seals from now on.")

    def reseal(self) -> None:
        """Seal everything that is stored with the primary key; raises Refusal when it cannot be.

        Pass after pass, until one finds nothing: processes go on writing with the old key until
        they notice the new one.
        """
        keyring = load_keyring(self._settings)
        sealer = Sealer(keyring)
        for _ in range(PASSES):
            done = reseal(self._store, sealer, keyring.primary, self._say)
            if not done.renewed:
                break
            time.sleep(BETWEEN_PASSES)
        else:
            raise Refusal(
                f"Expected everything to be sealed with key {keyring.primary} by now, but values "
                "sealed with another key go on coming. Some process does not see this keyring: its "
                "log says why, or its host has an older copy. Then run this again."
            )
        if done.unreadable:
            self._say(f"{len(done.unreadable):,} values open with no key and stay as they are:")
            for sentence in done.unreadable[:EXAMPLES]:
                self._say(f"  {sentence}")

    def retire(self) -> None:
        """Take the old keys off the keyring that seal nothing any more; Refusal if any is left."""
        self._require_file()
        self._settle()
        keyring = self._keyring()
        used = {kid: n for kid in keyring.old if (n := self._values_of(kid))}
        free = keyring.old - set(used)
        # In this order: in between, the file holds more than the database asks for.
        self._set_proofs(
            "retire",
            lambda proofs: {kid: proof for kid, proof in proofs.items() if kid not in free},
        )
        self._change(lambda k: k.without(free & k.old))
        for kid in sorted(free):
            self._say(f"Key {kid} is off the keyring: nothing stored needs it.")
        if used:
            left = ", ".join(f"{n:,} with key {kid}" for kid, n in sorted(used.items()))
            raise Refusal(
                f"Expected no value sealed with an old key, got {left}. Run --stage reseal: it "
                "names those that do not open. The key stays until they are gone."
            )

    def status(self) -> None:
        """Tell every key of the keyring, and how many values it sealed."""
        keyring = load_keyring(self._settings)
        names = {keyring.primary: "seals", keyring.coming: "next"}
        total = self._store.read(lambda tx: sum(sealed.count(tx, c) for c in COLUMNS))
        for kid in keyring.keys:
            count = self._values_of(kid)
            total -= count
            self._say(f"key {kid}  {names.get(kid, 'old'):5}  {count:,} values")
        if total > 0:
            self._say(f"no key of this keyring  {total:,} values")

    def verify(self) -> None:
        """Open every stored value; raises Refusal where some do not open."""
        sealer = Sealer(load_keyring(self._settings))
        faults = unreadable(self._store, sealer, self._say)
        for sentence in faults[:EXAMPLES]:
            self._say(f"  {sentence}")
        if faults:
            raise Refusal(
                f"Expected every value to open with this keyring, got {len(faults):,} that do not."
            )
        self._say("Every stored value opens with this keyring.")

    def _values_of(self, kid: str) -> int:
        counts = partial(sealed.count_sealed_with, kid=kid)
        return self._store.read(lambda tx: sum(counts(tx, column) for column in COLUMNS))

    def _set_proofs(self, stage: str, how: Callable[[dict[str, str]], dict[str, str]]) -> None:
        def write(tx: sa.Connection) -> None:
            # Locked: `migrate` reads it too, and SQLite has the whole database locked anyway.
            query = sa.select(installation.c.keyring_proof).with_for_update()
            before = opening.by_key(tx.execute(query).scalar_one())
            proofs = how(before)
            if changed := sorted(before.keys() ^ proofs.keys()):
                detail = {"stage": stage, "keys": changed}
                audit.append(tx, COMMAND_LINE, Action.KEYRING_ROTATE, at=time.time(), detail=detail)
            tx.execute(sa.update(installation).values(keyring_proof=" ".join(proofs.values())))

        self._store.write(write)

    def _settle(self) -> None:
        """Wait until the file has been as it is for the time that processes need."""
        changed_at = self._file.path.stat().st_mtime
        left = min(self._wait, changed_at + self._wait - time.time())
        if left > 0:
            self._say(f"Giving every process {left:.0f} s to use it and to end what it writes.")
        until = time.monotonic() + left
        while (left := until - time.monotonic()) > 0:
            self._store.keep()
            time.sleep(min(left, 2.0))

    def _keyring(self) -> Keyring:
        return self._file.read()[0]

    def _change(self, how: Callable[[Keyring], Keyring]) -> Keyring:
        return keyring_file.change(self._file, how)

    def _require_file(self) -> None:
        if self._settings.keyring is not None:
            raise ConfigurationError(
                [
                    "DRAGOMAN_KEYRING: expected the keyring in a file, got it in the environment, "
                    "which no running process reads again. docs/keyring.md says how to rotate it "
                    "by stages, with a restart after each."
                ]
            )
