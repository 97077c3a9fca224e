"""Sealing what is stored with the new master key, while everything runs.

Each batch is one short transaction that writes a value only where the old one still stands, so
that whoever writes at the same time wins; between two batches others get as much time as it took.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Final, TypeVar

import sqlalchemy as sa

from deploy.refusal import Refusal
from shared.crypto import SealBroken, Sealer
from shared.store import leases, sealed
from shared.store.database import UNAVAILABLE, Database, reason_of
from shared.store.sealed import COLUMNS, SealedColumn, Stored

T = TypeVar("T")

LEADER: Final = "rotate-master"
LEASE_SECONDS: Final = 10.0
PATIENCE_SECONDS: Final = 60.0  # with a database that does not answer
SHORTEST_PAUSE: Final = 0.005  # writers look for SQLite's lock every millisecond
TELL_SECONDS: Final = 2.0

Say = Callable[[str], None]


class Store:
    """The database as the one rotation that holds the lease sees it."""

    def __init__(self, database: Database, holder: str) -> None:
        self._database = database
        self._holder = holder

    def read(self, work: Callable[[sa.Connection], T]) -> T:
        """What `work` reads; raises Refusal when the database stays away."""

        def attempt() -> T:
            with self._database.read() as tx:
                return work(tx)

        return _patiently(attempt)

    def write(self, work: Callable[[sa.Connection], T]) -> T:
        """What `work` returns, committed under the lease; raises Refusal, also when it is lost."""

        def attempt() -> T:
            with self._database.write() as tx:
                if not leases.lead(tx, LEADER, holder=self._holder, seconds=LEASE_SECONDS):
                    raise Refusal("Another rotation took over. Wait for its end.")
                return work(tx)

        return _patiently(attempt)

    def keep(self) -> None:
        """Renew the lease."""
        self.write(lambda _tx: None)

    def begin(self, say: Say) -> None:
        """Take the lease; waits for one that was left by a rotation that died elsewhere."""
        until = time.monotonic() + 2 * LEASE_SECONDS
        told = False
        while True:
            try:
                self.keep()
            except Refusal:
                if time.monotonic() >= until:
                    raise Refusal("Another rotation is running. Wait for its end.") from None
                if self._buried():
                    continue
                if not told:
                    say(f"Another one runs, or died less than {LEASE_SECONDS:g} s ago; waiting.")
                told = True
                time.sleep(0.5)
            else:
                return

    def _buried(self) -> bool:
        """Whether the holder was a process of this host that is dead, and its lease is gone now."""
        holder = self.read(lambda tx: leases.leads(tx, LEADER)) or ""
        host, _, pid = holder.rpartition(":")
        if host != socket.gethostname() or not pid.isdigit() or _is_alive(int(pid)):
            return False
        self._resign(holder)
        return True

    def end(self) -> None:
        """Give the lease back; one that cannot be given back ends by itself."""
        with contextlib.suppress(*UNAVAILABLE):
            self._resign(self._holder)

    def _resign(self, holder: str) -> None:
        with self._database.write() as tx:
            leases.resign(tx, LEADER, holder=holder)


def me() -> str:
    """The name of this process as the holder of a lease."""
    return f"{socket.gethostname()}:{os.getpid()}"


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's
        pass
    return True


def _patiently(attempt: Callable[[], T]) -> T:
    until = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return attempt()
        except UNAVAILABLE as fault:
            if time.monotonic() >= until:
                raise Refusal(
                    f"The database does not answer ({reason_of(fault)}). Nothing is lost: run the "
                    "command again when it does."
                ) from None
            time.sleep(0.5)


@dataclass(frozen=True, slots=True)
class Pass:
    """What one pass over all columns did; `unreadable` has a sentence for each such value."""

    renewed: int
    unreadable: tuple[str, ...]


def reseal(store: Store, sealer: Sealer, primary: str, say: Say) -> Pass:
    """Seal every value with `primary` that another key sealed, one pass over all columns."""
    renewed, unreadable = 0, list[str]()
    for column in COLUMNS:
        walk = _Walk(store, sealer, column, primary)
        walk.run(say)
        renewed += walk.done
        unreadable += walk.unreadable
    return Pass(renewed, tuple(unreadable))


def unreadable(store: Store, sealer: Sealer, say: Say) -> Sequence[str]:
    """Open every value, and change nothing; a sentence for each that does not open."""
    faults = list[str]()
    for column in COLUMNS:
        total = store.read(partial(sealed.count, column=column))
        for value in chain.from_iterable(_batches(store, column, None, total, say)):
            try:
                sealer.open(value.sealed, **column.place(value.row))
            except SealBroken as fault:
                faults.append(str(fault))
    return faults


def _batches(
    store: Store, column: SealedColumn, but: str | None, total: int, say: Say
) -> Iterator[Sequence[Stored]]:
    """All values that another key than `but` sealed; tells now and then how many were taken."""
    done, after, tell_at = 0, "", time.monotonic() + TELL_SECONDS
    while batch := store.read(partial(sealed.batch, column=column, but=but, after=after)):
        yield batch
        done, after = done + len(batch), batch[-1].row
        if time.monotonic() >= tell_at:
            say(f"{column}: {done:,} of {total:,}")
            tell_at = time.monotonic() + TELL_SECONDS


class _Walk:
    """One pass over one column."""

    def __init__(self, store: Store, sealer: Sealer, column: SealedColumn, primary: str) -> None:
        self.done = 0
        self.unreadable: list[str] = []
        self._store = store
        self._sealer = sealer
        self._column = column
        self._primary = primary

    def run(self, say: Say) -> None:
        column, primary = self._column, self._primary
        total = self._store.read(lambda tx: sealed.count_stale(tx, column, primary))
        for batch in _batches(self._store, column, primary, total, say):
            self._replace(batch)
        if self.done:
            say(f"{column}: {self.done:,} re-sealed")

    def _replace(self, batch: Sequence[Stored]) -> None:
        renewed = {}
        for value in batch:
            place = self._column.place(value.row)
            try:
                renewed[value] = self._sealer.renewed(value.sealed, **place)
            except SealBroken as fault:
                self.unreadable.append(str(fault))
        began = time.monotonic()
        self._store.write(lambda tx: sealed.replace(tx, self._column, renewed))
        self.done += len(renewed)
        time.sleep(max(time.monotonic() - began, SHORTEST_PAUSE))
