"""Who is calling: the bearer key of a request or its session, and what its role allows.

Keys and sessions are found by their SHA-256, so that no comparison's duration tells anything about
them. A found caller is kept for two seconds at most: so long a revoked key, or a session that was
ended, may still work in another process, where Redis did not bring the notice of it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import gevent
import sqlalchemy as sa
from flask import Request, g

from services.registry import sessions
from services.registry.database import Transactions
from shared.errors import InsufficientScope, InvalidApiKey, StoreUnavailable
from shared.store import access, console_sessions
from shared.store.access import Caller

KEPT_SECONDS: Final = 1.5  # and while somebody looks again: two seconds in all
LOOK_SECONDS: Final = 0.5  # a look that takes longer is not waited for by one request alone
MOST_KEPT: Final = 10_000
NOTED_SECONDS: Final = 30.0  # between two writes of when keys were last used
_SESSION: Final = "session:"  # before the digests of tokens: a token is no key, nor the reverse

Look = Callable[[sa.Connection, float], Caller | None]


@dataclass(frozen=True, slots=True)
class Session:
    """A living session of the console: its caller, and the token in the browser's cookie."""

    caller: Caller
    token: str


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
        """The caller; raises InvalidApiKey when there is no living key.

        Without an `Authorization` header a session of the console counts; then InsufficientScope
        is raised for what a page of another site may have sent.
        """
        return self.credential_of(request)()

    def credential_of(self, request: Request) -> Callable[[], Caller]:
        """What finds the caller of this request now, and again later; raises as `caller_of` does.

        What lasts longer than a request asks again, because keys and sessions end.
        """
        authorization = request.headers.get("Authorization")
        if authorization is None and sessions.COOKIE in request.cookies:
            token = request.cookies[sessions.COOKIE]
            sessions.demand_own_page(request, token)
            return lambda: self.caller_in(token)
        scheme, _, key = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not key.strip():
            got = "none" if authorization is None else "another form of it"
            raise InvalidApiKey(f"Expected the header `Authorization: Bearer <key>`, got {got}.")
        return lambda: self.caller_with(key)

    def caller_with(self, key: str) -> Caller:
        """The caller who has this key; raises InvalidApiKey."""
        digest = access.digest(key.strip())
        found = self._find(digest, lambda tx, now: access.find_caller(tx, digest, now=now))
        if found is None:
            raise InvalidApiKey("Expected a living API key, got one that is unknown or revoked.")
        return found

    def caller_in(self, token: str) -> Caller:
        """The caller whose session has this token; raises InvalidApiKey."""
        digest = console_sessions.digest(token)
        found = self._find(
            _SESSION + digest, lambda tx, now: access.find_in_session(tx, digest, now=now)
        )
        if found is None:
            raise InvalidApiKey("Expected a living session, got one that is over. Log in again.")
        return found

    def session_of(self, request: Request) -> Session:
        """The session of a request for a page; raises InvalidApiKey without one.

        It shows only who is there: what changes anything passes `sessions.demand_own_page` too.
        """
        token = request.cookies.get(sessions.COOKIE)
        if token is None:
            raise InvalidApiKey("Expected a session, got none. Log in first.")
        return Session(self.caller_in(token), token)

    def _find(self, name: str, look: Look) -> Caller | None:
        found, until = self._kept.get(name, (None, 0.0))
        now = self._now()
        if found is None or until < self._monotonic():
            if found is not None:  # the others go on with what is known while this one looks
                self._kept[name] = (found, self._monotonic() + LOOK_SECONDS)
            found = self._transactions.glance(lambda tx: look(tx, now))
            if found is None:
                self._kept.pop(name, None)
                return None
            self._keep(name, found)
        if _is_over(found.expires_at, now) or _is_over(found.session_until, now):
            return None
        self._used.add(found.key_id)
        return found

    def _keep(self, name: str, caller: Caller) -> None:
        if len(self._kept) >= MOST_KEPT:
            self._kept.clear()
        self._kept[name] = (caller, self._monotonic() + KEPT_SECONDS)

    def forget(self, *ended: str) -> None:
        """Look again at the next use: keys with these ids, or sessions' digests, are no more."""
        for digest in ended:
            self._kept.pop(_SESSION + digest, None)
        self._kept = {
            name: kept for name, kept in self._kept.items() if kept[0].key_id not in ended
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


def _is_over(moment: float | None, now: float) -> bool:
    return moment is not None and moment <= now


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
