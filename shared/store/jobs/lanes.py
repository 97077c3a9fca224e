"""Whose turn it is: tiers before each other, owners in turn, first in first out.

A *lane* is what one owner has queued for one provider in one tier. Of each only as many rows are
read (`waiting`) as may start, so that the cost of a claim grows with lanes, not with rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import sqlalchemy as sa

from shared.domain import MAX_LOSSES
from shared.store.jobs import waiting
from shared.store.jobs.waiting import About, Lane, Waiting

SUSPECT_LOSSES: Final = MAX_LOSSES - 1
TIERS: Final = ("priority", "default", "flex")  # strict: the next only when this has nothing
URGENT_READ: Final = 1_000  # of those that do not wait for a closed gate, at least
FIRST_READ: Final = 8  # rows of a lane, at least; more are read where the lane holds more


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

    @property
    def conditions(self) -> dict[str, Any]:
        """What all reads of heads have in common."""
        return {"now": self.now, "losses_allowed": self.losses_allowed}


def room_of(provider: About, view: View) -> Room:
    """What an enabled provider may take."""
    left = view.want
    if provider.max_concurrency is not None:
        left = min(left, provider.max_concurrency - provider.running)
    if provider.gate_reason is None:
        return Room(left)
    ready = (provider.gate_closed_until or 0.0) <= view.now and not provider.probing
    return Room(left, closed=True, probe_allowed=ready)


def choose(tx: sa.Connection, lanes: Sequence[Lane], view: View, *, turn: str) -> list[Head]:
    """Up to `view.want` jobs in the order in which they are taken.

    `turn` is the owner who was served last; the next one in the alphabet begins.
    """
    chosen: list[Head] = []
    for tier in TIERS:
        here = [lane for lane in lanes if lane.tier == tier]
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


def _heads(tx: sa.Connection, lanes: Sequence[Lane], view: View, *, want: int) -> Iterable[Head]:
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


def _read(tx: sa.Connection, view: View, lane: Lane, *, after: str, limit: int) -> Sequence[Head]:
    rows = waiting.heads(
        tx,
        lane,
        after=after,
        room=limit,
        probes=view.rooms[lane.provider_id].closed,
        conditions=view.conditions,
    )
    return [_head(row, tier=lane.tier, provider_id=lane.provider_id) for row in rows]


def _urgent_of(
    tx: sa.Connection, view: View, tier: str, provider_ids: Iterable[str]
) -> Iterable[Head]:
    """Behind closed gates only those that do not wait may start, wherever they stand."""
    for provider_id in provider_ids:
        room = view.rooms[provider_id]
        if room.closed and room.left > 0:
            # More than may start: the oldest may all be of one owner.
            most = max(room.left, URGENT_READ)
            for row in waiting.urgent(tx, tier, provider_id, room=most, conditions=view.conditions):
                yield _head(row, tier=tier, provider_id=provider_id)


def _head(row: Waiting, *, tier: str, provider_id: str) -> Head:
    waits = row.on_unavailable != "fail"
    return Head(row.id, tier, provider_id, row.owner, row.losses >= SUSPECT_LOSSES, waits)
