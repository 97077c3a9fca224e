"""Gates: why a provider is left alone for a while, and when it is tried again.

429, 503 and failures to connect close a gate; five 5xx answers or broken calls in a row do too.
Past `closed_until` one waiting job at a time goes as a probe, and any answer opens the gate.
Many calls that fail together close it once: an effect counts only when its call began after the
gate was last closed, and after the call whose answer last opened it: for a quarter of an hour an
open gate keeps that moment. Calls that do not wait go whatever the gate: their answers open it,
their failures leave a closed one as it is, or whoever repeats a call that breaks the server would
hold up everybody else's jobs. A gate belongs to the revision of the provider that was called:
whoever moves an endpoint or rotates a key need not wait for a pause that the old one earned.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from shared.domain import GateReason
from shared.store.among import among
from shared.store.jobs.rows import GateEffect
from shared.store.prepared import Prepared
from shared.store.schema import provider_gate

STRIKES_TO_CLOSE: Final = 5
FIRST_BACKOFF: Final = 1.0  # seconds, doubled for each closing in a row
LONGEST_BACKOFF: Final = 60.0
OPENED_KEPT: Final = 900.0  # seconds for which an open gate remembers what opened it
RETRY_AFTER_BOUNDS: Final = (1.0, 900.0)  # what an upstream may ask for, in seconds

_OPEN: Final[dict[str, Any]] = {
    "closed_at": 0.0,
    "closed_until": 0.0,
    "reason": None,
    "cause": None,
    "failures": 0,
    "strikes": 0,
    "probe_job": None,
}
# Locked in the order of the providers, so that two workers cannot wait for each other.
_GATES: Final = Prepared(
    sa.select(provider_gate)
    .where(among(provider_gate.c.provider_id, "provider_ids"))
    .order_by(provider_gate.c.provider_id)
    .with_for_update()
)
_FORGET: Final = sa.delete(provider_gate).where(
    provider_gate.c.provider_id == sa.bindparam("gate_of")
)


def apply(tx: sa.Connection, effects: Iterable[GateEffect], *, now: float) -> None:
    """Work the effects of a batch of calls into the gates of their providers."""
    by_provider: dict[str, list[GateEffect]] = {}
    for effect in effects:
        by_provider.setdefault(effect.provider_id, []).append(effect)
    if not by_provider:
        return
    # A row that is to change must exist to be locked: two workers may write of it at once.
    if away := sorted(p for p, batch in by_provider.items() if any(e.cause for e in batch)):
        insert = sqlite.insert if tx.dialect.name == "sqlite" else postgresql.insert
        fresh = [{"provider_id": provider_id, **_OPEN} for provider_id in away]
        tx.execute(insert(provider_gate).on_conflict_do_nothing(), fresh)
    for row in _GATES.all(tx, {"provider_ids": list(by_provider)}):
        before = gate = dict(zip(provider_gate.c.keys(), row, strict=True))
        provider_id = before["provider_id"]
        for effect in sorted(by_provider[provider_id], key=lambda e: e.call_started_at):
            gate = _after(gate, effect, now=now)
        if _is_open(gate) and gate["closed_at"] < now - OPENED_KEPT:
            tx.execute(_FORGET, {"gate_of": provider_id})
        elif gate != before:
            values = {name: value for name, value in gate.items() if name != "provider_id"}
            tx.execute(_of(provider_id).values(values))


def _of(provider_id: str) -> sa.Update:
    return sa.update(provider_gate).where(provider_gate.c.provider_id == provider_id)


def _is_open(gate: Mapping[str, Any]) -> bool:
    return gate["reason"] is None and not gate["strikes"]


def _is_pressed(gate: Mapping[str, Any], effect: GateEffect) -> bool:
    """Whether a call went in spite of a closed gate, and was told no time of its own."""
    return gate["reason"] is not None and not effect.waits and effect.retry_after is None


def set_probe(tx: sa.Connection, provider_id: str, job_id: str) -> None:
    """Note which job tries a closed gate."""
    tx.execute(_of(provider_id).values(probe_job=job_id))


def _after(gate: dict[str, Any], effect: GateEffect, *, now: float) -> dict[str, Any]:
    """The gate after one call."""
    if effect.revision < gate["provider_revision"]:
        return gate  # told of what the provider was before
    if effect.revision > gate["provider_revision"]:
        gate = gate | _OPEN | {"provider_revision": effect.revision}
    if effect.call_started_at < gate["closed_at"]:
        return gate  # began before the last closing or opening: tells nothing new
    if effect.cause is None:
        # Noted once: who is open already must not cost every answer a write.
        return gate if _is_open(gate) else gate | _OPEN | {"closed_at": effect.call_started_at}
    if effect.overtaken or _is_pressed(gate, effect):
        return gate
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
    if gate["closed_until"] > now + pause:  # another call was told a later time
        return gate | {"closed_at": now, "failures": failures, "probe_job": None}
    return gate | {
        "closed_at": now,
        "closed_until": now + pause,
        "reason": reason.value,
        "cause": effect.cause,
        "failures": failures,
        "probe_job": None,
    }
