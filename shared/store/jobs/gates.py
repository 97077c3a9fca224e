"""Gates: why a provider is left alone for a while, and when it is tried again.

429, 503 and failures to connect close a gate; five 5xx answers or broken calls in a row do too.
Past `closed_until` one waiting job at a time goes as a probe, and any answer opens the gate.
Many calls that fail together close it once: an effect counts only when its call began after the
gate was last closed.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from shared.domain import GateReason
from shared.store.jobs.rows import GateEffect
from shared.store.schema import provider_gate

STRIKES_TO_CLOSE: Final = 5
FIRST_BACKOFF: Final = 1.0  # seconds, doubled for each closing in a row
LONGEST_BACKOFF: Final = 60.0
RETRY_AFTER_BOUNDS: Final = (1.0, 900.0)  # what an upstream may ask for, in seconds

_GATES: Final = sa.select(provider_gate).where(
    provider_gate.c.provider_id.in_(sa.bindparam("provider_ids", expanding=True))
)


def apply(tx: sa.Connection, effects: Iterable[GateEffect], *, now: float) -> None:
    """Work the effects of a batch of calls into the gates of their providers."""
    by_provider: dict[str, list[GateEffect]] = {}
    for effect in effects:
        by_provider.setdefault(effect.provider_id, []).append(effect)
    if not by_provider:
        return
    found = tx.execute(_GATES, {"provider_ids": list(by_provider)})
    rows = {row.provider_id: dict(row._mapping) for row in found}
    for provider_id, batch in sorted(by_provider.items()):
        gate = before = rows.get(provider_id)
        for effect in sorted(batch, key=lambda effect: effect.call_started_at):
            gate = _after(gate, effect, now=now)
        if gate is None and before is not None:
            tx.execute(sa.delete(provider_gate).where(provider_gate.c.provider_id == provider_id))
        elif gate is not None and gate is not before:
            _put(tx, gate)


def set_probe(tx: sa.Connection, provider_id: str, job_id: str) -> None:
    """Note which job tries a closed gate."""
    tx.execute(
        sa.update(provider_gate)
        .where(provider_gate.c.provider_id == provider_id)
        .values(probe_job=job_id)
    )


def _after(gate: dict[str, Any] | None, effect: GateEffect, *, now: float) -> dict[str, Any] | None:
    """The gate after one call; None is an open gate without a record."""
    if gate is not None and effect.call_started_at < gate["closed_at"]:
        return gate  # began before the last closing: tells nothing new
    if effect.cause is None:
        return None
    gate = gate or {
        "provider_id": effect.provider_id,
        "closed_at": 0.0,
        "closed_until": 0.0,
        "reason": None,
        "cause": None,
        "failures": 0,
        "strikes": 0,
        "probe_job": None,
    }
    if effect.strike:
        gate = gate | {"strikes": gate["strikes"] + 1, "cause": effect.cause}
        if gate["strikes"] < STRIKES_TO_CLOSE and gate["reason"] is None:
            return gate
    failures = gate["failures"] + 1
    if effect.retry_after is not None:
        low, high = RETRY_AFTER_BOUNDS
        pause, reason = min(max(effect.retry_after, low), high), GateReason.RETRY_AFTER
    else:
        pause = min(FIRST_BACKOFF * 2.0 ** min(failures - 1, 10), LONGEST_BACKOFF)
        reason = GateReason.PARKED
    return gate | {
        "closed_at": now,
        "closed_until": now + pause,
        "reason": reason.value,
        "cause": effect.cause,
        "failures": failures,
        "probe_job": None,
    }


def _put(tx: sa.Connection, gate: dict[str, Any]) -> None:
    insert = sqlite.insert if tx.dialect.name == "sqlite" else postgresql.insert
    statement = insert(provider_gate).values(**gate)
    changed = {name: value for name, value in gate.items() if name != "provider_id"}
    tx.execute(statement.on_conflict_do_update(index_elements=["provider_id"], set_=changed))
