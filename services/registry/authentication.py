"""Who is calling: the bearer key of a request, and what its role allows.

Keys are found by their SHA-256, so that no comparison's duration tells anything about a key. A
found caller is kept for two seconds: that is how long a revoked key may still work elsewhere.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

import gevent
from flask import Request, g

from services.registry.database import Transactions
from shared.errors import InsufficientScope, InvalidApiKey, StoreUnavailable
from shared.store import access
from shared.store.access import Caller

KEPT_SECONDS: Final = 2.0
MOST_KEPT: Final = 10_000
NOTED_SECONDS: Final = 30.0  # between two writes of when keys were last used


class Authenticator:
    """Finds the caller of a request; safe for all greenlets of one process."""

    def __init__(
        self,
        transactions: Transactions,
        *,
        now: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._transactions = transactions
        self._now = now
        self._monotonic = monotonic
        self._kept: dict[str, tuple[Caller, float]] = {}
        self._used: set[str] = set()  # ids of keys whose use is not noted yet

    def start(self) -> None:
        """Start the greenlet that notes which keys are used."""
        gevent.spawn(self._note_use)

    def caller_of(self, request: Request) -> Caller:
        """The caller; raises InvalidApiKey when there is no living key."""
        return self.caller_by(request.headers.get("Authorization", ""))

    def caller_by(self, authorization: str) -> Caller:
        """The caller who sent this `Authorization` header; raises InvalidApiKey.

        What lasts longer than a request asks again, because keys end.
        """
        scheme, _, key = authorization.partition(" ")
        if scheme.lower() != "bearer" or not key.strip():
            raise InvalidApiKey("Expected the header `Authorization: Bearer <key>`, got none.")
        return self._find(access.digest(key.strip()))

    def _find(self, digest: str) -> Caller:
        found, until = self._kept.get(digest, (None, 0.0))
        if found is not None:
            self._used.add(found.key_id)
        if found is None or until < self._monotonic():
            now = self._now()
            found = self._transactions.read(lambda tx: access.find_caller(tx, digest, now=now))
            if found is not None:
                self._keep(digest, found)
                self._used.add(found.key_id)
        if found is None or (found.expires_at is not None and found.expires_at <= self._now()):
            raise InvalidApiKey("Expected a living API key, got one that is unknown or revoked.")
        return found

    def _keep(self, digest: str, caller: Caller) -> None:
        if len(self._kept) >= MOST_KEPT:
            self._kept.clear()
        self._kept[digest] = (caller, self._monotonic() + KEPT_SECONDS)

    def forget(self, key_id: str) -> None:
        """Look this key up again at its next use: it was revoked."""
        self._kept = {
            digest: kept for digest, kept in self._kept.items() if kept[0].key_id != key_id
        }

    def _note_use(self) -> None:
        while True:
            gevent.sleep(NOTED_SECONDS)
            self.note_use()

    def note_use(self) -> None:
        """Write the last use of the keys that were used since the last time."""
        used, self._used = self._used, set()
        if not used:
            return
        now = self._now()
        try:
            self._transactions.write(lambda tx: access.touch(tx, used, now=now))
        except StoreUnavailable:
            self._used |= used


def current_caller() -> Caller:
    """The caller of the request being served, as the blueprint's guard found it."""
    caller: Caller = g.caller
    return caller


def require_admin() -> Caller:
    """The caller, when it is an admin; raises InsufficientScope."""
    caller = current_caller()
    if not caller.is_admin:
        raise InsufficientScope("Expected a key with the role `admin`, got one with `member`.")
    return caller
