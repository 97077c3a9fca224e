"""What is tested, how often, and how to wait for it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from services.registry.parts import Parts
from services.registry.providers import endpoints
from services.registry.providers.lookup import find_visible
from services.registry.providers.schemas import Options
from shared import ids
from shared.errors import InvalidValue, NotFound, RateLimited
from shared.store import audit, checks
from shared.store.access import Caller
from shared.store.audit import Action, Actor
from shared.store.checks import Check
from shared.store.providers import Provider
from shared.upstream.endpoint import Endpoint, resolve

MOST_A_MINUTE: Final = 10  # of one key: who could test without bound could scan a network
MINUTE: Final = 60.0


class Checks:
    """Use cases of checks over the parts of one process. All raise StoreUnavailable."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._transactions = parts.transactions

    def begin(self, body: Mapping[str, Any], caller: Caller, actor: Actor) -> str:
        """The id of a new check, which a discovery worker has been told of.

        Raises InvalidValue, ProviderNotFound or RateLimited.
        """
        check_id, now = ids.new(ids.CHECK), self._parts.now()
        sealed = self._parts.sealer.seal(
            msgspec.json.encode(self._wanted(body, caller)),
            table=checks.TABLE,
            row=check_id,
            column=checks.REQUEST,
        )

        def insert(tx: sa.Connection) -> None:
            _bound(checks.begun_since(tx, caller.key_id, now - MINUTE), now)
            checks.insert(tx, check_id, key_id=caller.key_id, request_sealed=sealed, now=now)
            audit.append(tx, actor, Action.PROVIDER_TEST, at=now, subject=check_id)

        self._transactions.write(insert)
        self._parts.bell.check(check_id)
        return check_id

    def wait(self, check_id: str, seconds: float) -> None:
        """Return when the check is done, or after `seconds`."""
        self._parts.checks.wait(check_id, lambda runs: not runs, seconds)

    def get(self, check_id: str) -> Check:
        """The check with this id; raises NotFound, also for one over ten minutes old."""
        now, found = self._parts.now(), None
        if ids.bare(ids.CHECK, check_id) is not None:
            found = self._transactions.read(lambda tx: checks.get(tx, check_id, now=now))
        if found is None:
            raise NotFound(
                f"Expected the id of a check of the last ten minutes, got {check_id[:100]!r}. "
                "POST /v1/providers/test starts one."
            )
        return found

    def _wanted(self, body: Mapping[str, Any], caller: Caller) -> dict[str, Any]:
        """The plain request of the check, as `store.checks` describes it."""
        saved: Provider | None = None
        if (named := body.get("provider")) is not None:
            saved = self._transactions.read(lambda tx: find_visible(tx, named, caller))
        typed = body.get("endpoint", saved and saved.endpoint)
        if typed is None:
            raise InvalidValue(
                "endpoint: Expected a value, or a provider to take it from, got neither.",
                param="endpoint",
            )
        endpoint = resolve(typed)
        saved_key = None
        if saved is not None and "api_key" not in body:
            saved_key = self._saved_key(saved, endpoint)
        options = saved.options if saved is not None else Options().load({})
        return {
            "endpoint": typed.strip(),
            "api_key": body.get("api_key", saved_key),
            "options": {**options, **body.get("options", {})},
            "chat": body.get("chat", False),
            "model": body.get("model"),
        }

    def _saved_key(self, saved: Provider, endpoint: Endpoint) -> str | None:
        endpoints.refuse_to_carry_key(saved, endpoint)
        if saved.api_key_sealed is None:
            return None
        place = {"table": "provider", "row": saved.id, "column": "api_key_sealed"}
        return self._parts.sealer.open(saved.api_key_sealed, **place).decode()


def _bound(begun: Sequence[float], now: float) -> None:
    """Raise RateLimited when this key has begun as many checks as it may."""
    # Those of a clock that was ahead, and was set back since, do not count for ever.
    recent = [at for at in begun if at <= now + MINUTE]
    if len(recent) >= MOST_A_MINUTE:
        wait = recent[-MOST_A_MINUTE] + MINUTE - now
        raise RateLimited(
            f"Expected at most {MOST_A_MINUTE} tests a minute of one key, got one more. "
            f"Try again in {max(wait, 1):.0f} s.",
            retry_after=wait,
        )


def running(tx: sa.Connection, check_ids: Collection[str]) -> Mapping[str, bool]:
    """Those of these checks that are worth waiting for."""
    return dict.fromkeys(checks.running(tx, check_ids), True)
