"""Whose turn it is: tiers before each other, owners in turn, first in first out.

A *lane* is what one owner has queued for one provider in one tier. Lanes are found by a skip scan
over their partial index, and of each only as many rows are read as may start, so that the cost of
a claim grows with lanes, not with rows. Conditions on `state` are literal on purpose (see
`store.schema`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import sqlalchemy as sa

from shared.domain import MAX_LOSSES
from shared.store.jobs.rows import Target
from shared.store.schema import provider

SUSPECT_LOSSES: Final = MAX_LOSSES - 1
TIERS: Final = ("priority", "default", "flex")  # strict: the next only when this has nothing
URGENT_READ: Final = 1_000  # of those that do not wait for a closed gate, at least
FIRST_READ: Final = 8  # rows of a lane, at least; more are read where the lane holds more

# Columns by lookups, not by a join: PostgreSQL expects a hundred lanes and would read the table.
# 2 is SUSPECT_LOSSES, literal as the condition of its partial index.
LANES: Final = sa.text(
    """
    WITH RECURSIVE lane(id) AS (
        SELECT first.id FROM (
            SELECT id FROM chat_job WHERE state = 'queued'
            ORDER BY service_tier, provider_id, owner, id LIMIT 1
        ) AS first
        UNION ALL
        SELECT coalesce(
            (
                SELECT id FROM chat_job
                WHERE state = 'queued' AND service_tier = head.service_tier
                    AND provider_id = head.provider_id AND owner > head.owner
                ORDER BY owner, id LIMIT 1
            ),
            (
                SELECT id FROM chat_job
                WHERE state = 'queued' AND service_tier = head.service_tier
                    AND provider_id > head.provider_id
                ORDER BY provider_id, owner, id LIMIT 1
            ),
            (
                SELECT id FROM chat_job
                WHERE state = 'queued' AND service_tier > head.service_tier
                ORDER BY service_tier, provider_id, owner, id LIMIT 1
            )
        )
        FROM lane JOIN chat_job AS head ON head.id = lane.id
    )
    SELECT (SELECT service_tier FROM chat_job WHERE id = lane.id) AS service_tier,
        (SELECT provider_id FROM chat_job WHERE id = lane.id) AS provider_id,
        (SELECT owner FROM chat_job WHERE id = lane.id) AS owner,
        EXISTS (
            SELECT 1 FROM chat_job WHERE losses >= 2 AND state = 'in_progress'
        ) AS suspect_runs
    FROM lane WHERE lane.id IS NOT NULL
    """
)
TARGET: Final = tuple(Target.__dataclass_fields__)
_PROVIDERS: Final = (
    sa.text(
        """
        SELECT provider.id, provider.slug, provider.chat_url, provider.models_url,
            provider.api_key_sealed, provider.api_key_fingerprint, provider.options,
            provider.revision, provider.enabled, provider.deleted_at, provider.max_concurrency,
            gate.reason AS gate_reason, gate.closed_until AS gate_closed_until,
            (
                SELECT count(*) FROM chat_job AS probe
                WHERE probe.id = gate.probe_job AND probe.state = 'in_progress'
            ) AS probing,
            CASE WHEN provider.max_concurrency IS NULL THEN 0 ELSE (
                SELECT count(*) FROM chat_job AS running
                WHERE running.state = 'in_progress' AND running.provider_id = provider.id
            ) END AS running
        FROM provider
        LEFT JOIN provider_gate AS gate
            ON gate.provider_id = provider.id AND gate.provider_revision = provider.revision
        WHERE provider.id IN :provider_ids
        """
    )
    .bindparams(sa.bindparam("provider_ids", expanding=True, type_=sa.Text()))
    .columns(options=provider.c.options.type)
)
_MAY_START: Final = "not_before <= :now AND deadline > :now AND losses < :losses_allowed"
_OLDEST: Final = f"""
    SELECT id, owner, losses, on_unavailable FROM chat_job
    WHERE state = 'queued' AND service_tier = :tier AND provider_id = :provider_id
        AND owner = :owner AND id > :after AND {_MAY_START}
    """  # noqa: S608 - constants only
_HEADS: Final = sa.text(f"{_OLDEST} ORDER BY id LIMIT :room")
# Those that do not wait start anyway: they are no probes.
_PROBES: Final = sa.text(f"{_OLDEST} AND on_unavailable <> 'fail' ORDER BY id LIMIT :room")
_URGENT: Final = sa.text(
    f"""
    SELECT id, owner, losses, on_unavailable FROM chat_job
    WHERE state = 'queued' AND on_unavailable = 'fail' AND provider_id = :provider_id
        AND service_tier = :tier AND {_MAY_START}
    ORDER BY id LIMIT :room
    """  # noqa: S608 - constants only
)


@dataclass(frozen=True, slots=True)
class Head:
    """A queued job that may start now."""

    id: str
    tier: str
    provider_id: str
    owner: str
    suspect: bool
    waits: bool  # it would wait for a provider that is away, and so may probe its gate


@dataclass(slots=True)
class Room:
    """How many more calls one provider may take; `closed` lets one probe through, or none."""

    left: int
    closed: bool = False
    probe_allowed: bool = False
    probe: str | None = None

    @property
    def most(self) -> int:
        """How many of those that would wait may start."""
        return min(max(self.left, 0), 1) if self.closed else max(self.left, 0)

    def admits(self, head: Head) -> bool:
        """Whether this job may be taken now."""
        if self.left <= 0:
            return False
        return not (self.closed and head.waits) or (self.probe_allowed and self.probe is None)

    def take(self, head: Head) -> None:
        """Count it."""
        self.left -= 1
        if self.closed and head.waits:
            self.probe = head.id


@dataclass(slots=True)
class View:
    """What one claim sees: how many it wants, of which moment, and how many losses it allows."""

    want: int
    now: float
    losses_allowed: int
    rooms: dict[str, Room] = field(default_factory=dict)

    def parameters(self, **more: Any) -> dict[str, Any]:
        """The bind parameters that all reads of heads share."""
        return {"now": self.now, "losses_allowed": self.losses_allowed, **more}


def facts(tx: sa.Connection, provider_ids: Iterable[str]) -> Sequence[sa.Row[Any]]:
    """Target, state, limit, gate and running calls of these providers."""
    return tx.execute(_PROVIDERS, {"provider_ids": sorted(set(provider_ids))}).all()


def room_of(provider: sa.Row[Any], view: View) -> Room:
    """What an enabled provider may take."""
    left = view.want
    if provider.max_concurrency is not None:
        left = min(left, provider.max_concurrency - provider.running)
    if provider.gate_reason is None:
        return Room(left)
    ready = provider.gate_closed_until <= view.now and not provider.probing
    return Room(left, closed=True, probe_allowed=ready)


def choose(tx: sa.Connection, lanes: Sequence[sa.Row[Any]], view: View, *, turn: str) -> list[Head]:
    """Up to `view.want` jobs in the order in which they are taken.

    `turn` is the owner who was served last; the next one in the alphabet begins.
    """
    chosen: list[Head] = []
    for tier in TIERS:
        here = [lane for lane in lanes if lane.service_tier == tier]
        if not here or len(chosen) >= view.want:
            continue
        found = list(_urgent_of(tx, view, tier, {lane.provider_id for lane in here}))
        found += _heads(tx, here, view, want=view.want - len(chosen))
        suspects = any(head.suspect for head in chosen)
        chosen += in_turn(
            found, view.rooms, view.want - len(chosen), turn=turn, suspect_allowed=not suspects
        )
    return chosen


def in_turn(
    heads: Iterable[Head],
    rooms: Mapping[str, Room],
    want: int,
    *,
    turn: str,
    suspect_allowed: bool,
) -> list[Head]:
    """Up to `want` of one tier's heads: owner after owner, each one's oldest first.

    Who has nothing that may start is passed over. At most one suspect runs.
    """
    queues: dict[str, list[Head]] = {}
    for head in sorted(set(heads), key=lambda head: head.id, reverse=True):
        queues.setdefault(head.owner, []).append(head)
    owners = sorted(queues, key=lambda owner: (owner <= turn, owner))
    chosen: list[Head] = []
    while owners and len(chosen) < want:
        for owner in tuple(owners):
            taken = _next(queues[owner], rooms, suspect_allowed=suspect_allowed)
            if taken is None:
                owners.remove(owner)
                continue
            rooms[taken.provider_id].take(taken)
            suspect_allowed = suspect_allowed and not taken.suspect
            chosen.append(taken)
            if len(chosen) == want:
                break
    return chosen


def _next(queue: list[Head], rooms: Mapping[str, Room], *, suspect_allowed: bool) -> Head | None:
    """The oldest of an owner's jobs that may be taken; those before it wait for the next claim."""
    while queue:
        head = queue.pop()
        if rooms[head.provider_id].admits(head) and (suspect_allowed or not head.suspect):
            return head
    return None


def _heads(
    tx: sa.Connection, lanes: Sequence[sa.Row[Any]], view: View, *, want: int
) -> Iterable[Head]:
    """The heads of these lanes: enough for `want`, if there are so many."""
    share = max(FIRST_READ, 2 * want // len(lanes))
    rest = [(lane, "") for lane in lanes]
    count: Counter[str] = Counter()
    while rest and sum(min(n, view.rooms[of].most) for of, n in count.items()) < want:
        further = []
        for lane, after in rest:
            room = view.rooms[lane.provider_id]
            # Of a closed gate's waiting jobs one at most is a probe.
            limit = min(want, share, room.most)
            if limit <= 0 or (room.closed and not room.probe_allowed):
                continue
            rows = _read(tx, view, lane, after=after, limit=limit)
            count[lane.provider_id] += len(rows)
            yield from rows
            if len(rows) == limit and not room.closed and limit < room.left:
                further.append((lane, rows[-1].id))
        rest = further
        share *= 4


def _read(
    tx: sa.Connection, view: View, lane: sa.Row[Any], *, after: str, limit: int
) -> Sequence[Head]:
    place = {"tier": lane.service_tier, "provider_id": lane.provider_id, "owner": lane.owner}
    query = _PROBES if view.rooms[lane.provider_id].closed else _HEADS
    rows = tx.execute(query, view.parameters(**place, after=after, room=limit))
    return [_head(row, tier=lane.service_tier, provider_id=lane.provider_id) for row in rows]


def _urgent_of(
    tx: sa.Connection, view: View, tier: str, provider_ids: Iterable[str]
) -> Iterable[Head]:
    """Behind closed gates only those that do not wait may start, wherever they stand."""
    for provider_id in provider_ids:
        room = view.rooms[provider_id]
        if room.closed and room.left > 0:
            # More than may start: the oldest may all be of one owner.
            most = max(room.left, URGENT_READ)
            parameters = view.parameters(provider_id=provider_id, tier=tier, room=most)
            for row in tx.execute(_URGENT, parameters):
                yield _head(row, tier=tier, provider_id=provider_id)


def _head(row: sa.Row[Any], *, tier: str, provider_id: str) -> Head:
    waits = row.on_unavailable != "fail"
    return Head(row.id, tier, provider_id, row.owner, row.losses >= SUSPECT_LOSSES, waits)
