"""The hand of the discovery worker, which is not there: it writes what a worker would."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Sequence
from typing import Any

import gevent
import sqlalchemy as sa

from shared.domain import DiscoveryStatus
from shared.store import checks, discovery
from shared.store.checks import CheckClaim
from shared.store.discovery import Claim, Entry, Finding
from shared.store.schema import provider_check
from tests.contract.registry.conftest import Registry

SOON = 0.05  # seconds: longer than a request needs to begin to wait

_ports = itertools.count(20_000)


class Hand:
    """Checks of saved and of unsaved providers over the database of one registry."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self._claims: dict[str, CheckClaim] = {}

    def provider(self, **fields: Any) -> dict[str, Any]:
        """A new provider at a server of its own: one server is asked by one check at a time."""
        return self.registry.add(**{"endpoint": f"http://10.0.0.1:{next(_ports)}", **fields})

    def begin(self, provider_id: str) -> Claim:
        """A check that begins now."""
        now = self.registry.parts.now()
        with self.registry.database.write() as tx:
            (claim,) = discovery.claim(tx, [provider_id], now=now, asked=[provider_id])
        return claim

    def end(self, claim: Claim, *listed: str, error: str = "", at: float | None = None) -> None:
        """It ends with this list, or with this error."""
        now = self.registry.parts.now() if at is None else at
        sealed = None
        if error:
            sealed = self.registry.parts.sealer.seal(
                json.dumps({"code": "upstream_unreachable", "message": error}).encode(),
                table=discovery.TABLE,
                row=claim.provider_id,
                column=discovery.ERROR,
            )
        finding = Finding(
            status=DiscoveryStatus.UNREACHABLE if error else DiscoveryStatus.OK,
            error_sealed=sealed,
            failures=1 if error else 0,
            empty_lists=0,
            next_check_at=now + 300,
            listed=None if error else [Entry(one, owned_by="them", raw={}) for one in listed],
            manual=claim.options["models"],
            allows=lambda _: True,
            key_proven=None,
        )
        with self.registry.database.write() as tx:
            assert discovery.record(tx, claim, finding, now=now)

    def check(self, provider_id: str, *listed: str, **how: Any) -> None:
        """A whole check."""
        self.end(self.begin(provider_id), *listed, **how)

    def asked(self, check_id: str) -> dict[str, Any]:
        """What the registry asks to be tested."""
        row = self.row(check_id)
        plain = self.registry.parts.sealer.open(
            row.request_sealed, table=checks.TABLE, row=check_id, column=checks.REQUEST
        )
        request: dict[str, Any] = json.loads(plain)
        return request

    def row(self, check_id: str) -> Any:
        """The row of a test."""
        with self.registry.database.read() as tx:
            found = sa.select(provider_check).where(provider_check.c.id == check_id)
            return tx.execute(found).one()

    def waiting(self) -> list[str]:
        """The tests that nobody has taken yet; they are taken by this."""
        now = self.registry.parts.now()
        with self.registry.database.write() as tx:
            claims = checks.claim(tx, now=now, limit=1_000)
        self._claims |= {claim.id: claim for claim in claims}
        return [claim.id for claim in claims]

    def fill(self, check_id: str, steps: Sequence[str], *, done: bool, **result: Any) -> None:
        """Its steps so far, all of them ok."""
        if check_id not in self._claims:
            self.waiting()
        told = {"steps": [step(name) for name in steps], "endpoint": None, "models": [], **result}
        sealed = self.registry.parts.sealer.seal(
            json.dumps(told).encode(), table=checks.TABLE, row=check_id, column=checks.RESULT
        )
        with self.registry.database.write() as tx:
            assert checks.fill(tx, self._claims[check_id], result_sealed=sealed, done=done)

    def finish_next(self, **result: Any) -> gevent.Greenlet:
        """End the next test that is asked for, as soon as it is."""
        self.waiting()  # those of others

        def finish() -> None:
            while not (begun := self.waiting()):
                gevent.sleep(0.01)
            self.fill(begun[0], ["resolve"], done=True, **result)

        return gevent.spawn(finish)


def step(name: str) -> dict[str, Any]:
    """A step that went well."""
    return {"name": name, "verdict": "ok", "ms": 1, "message": f"{name}: fine.", "remedy": None}


def soon(work: Callable[..., object], *values: Any, **named: Any) -> gevent.Greenlet:
    """Do it while a request waits; `get()` of what is returned raises what it raised."""
    return gevent.spawn_later(SOON, work, *values, **named)
