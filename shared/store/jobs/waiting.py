"""What is queued, and for whom, as a claim reads it.

Lanes (see `lanes`) are found by a skip scan over their partial index. Conditions on `state` are
literal on purpose (see `store.schema`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import sqlalchemy as sa

from shared.store.among import among
from shared.store.jobs.rows import Target
from shared.store.prepared import Prepared
from shared.store.schema import chat_job, provider, provider_gate

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
_FIND_LANES: Final = Prepared(LANES)
_gate: Final = provider_gate.alias("gate")
_PROVIDERS: Final = Prepared(
    sa.select(
        provider.c.enabled,
        provider.c.deleted_at,
        provider.c.max_concurrency,
        sa.case(
            (provider.c.max_concurrency.is_(None), 0),
            else_=sa.select(sa.func.count())
            .where(
                sa.text("chat_job.state = 'in_progress'"), chat_job.c.provider_id == provider.c.id
            )
            .scalar_subquery(),
        ),
        _gate.c.reason,
        _gate.c.closed_until,
        sa.select(sa.func.count())
        .where(chat_job.c.id == _gate.c.probe_job, sa.text("chat_job.state = 'in_progress'"))
        .scalar_subquery(),
        *[provider.c[name] for name in Target.__dataclass_fields__],
    )
    .outerjoin_from(
        provider,
        _gate,
        sa.and_(
            _gate.c.provider_id == provider.c.id, _gate.c.provider_revision == provider.c.revision
        ),
    )
    .where(among(provider.c.id, "provider_ids"))
)
_MAY_START: Final = "not_before <= :now AND deadline > :now AND losses < :losses_allowed"
_OLDEST: Final = f"""
    SELECT id, owner, losses, on_unavailable FROM chat_job
    WHERE state = 'queued' AND service_tier = :tier AND provider_id = :provider_id
        AND owner = :owner AND id > :after AND {_MAY_START}
    """  # noqa: S608 - constants only
_HEADS: Final = Prepared(sa.text(f"{_OLDEST} ORDER BY id LIMIT :room"))
# Those that do not wait start anyway: they are no probes.
_PROBES: Final = Prepared(
    sa.text(f"{_OLDEST} AND on_unavailable <> 'fail' ORDER BY id LIMIT :room")
)
_URGENT: Final = Prepared(
    sa.text(
        f"""
        SELECT id, owner, losses, on_unavailable FROM chat_job
        WHERE state = 'queued' AND on_unavailable = 'fail' AND provider_id = :provider_id
            AND service_tier = :tier AND {_MAY_START}
        ORDER BY id LIMIT :room
        """  # noqa: S608 - constants only
    )
)


class Lane(NamedTuple):
    """What one owner has queued for one provider in one tier; `suspect_runs` is of all jobs."""

    tier: str
    provider_id: str
    owner: str
    suspect_runs: bool


class Waiting(NamedTuple):
    """A queued job that may start now."""

    id: str
    owner: str
    losses: int
    on_unavailable: str


@dataclass(frozen=True, slots=True)
class About:
    """A provider with queued jobs: its state, its limit and running calls, its gate.

    `running` is counted where there is a limit, `gate_reason` None means an open gate.
    """

    target: Target
    enabled: bool
    deleted_at: float | None
    max_concurrency: int | None
    running: int
    gate_reason: str | None
    gate_closed_until: float | None
    probing: bool


def lanes(tx: sa.Connection) -> Sequence[Lane]:
    """Every lane with a queued job."""
    return [Lane(*row) for row in _FIND_LANES.all(tx, {})]


def providers(tx: sa.Connection, provider_ids: Iterable[str]) -> Sequence[About]:
    """What decides whether jobs of these providers may start."""
    rows = _PROVIDERS.all(tx, {"provider_ids": sorted(set(provider_ids))})
    return [About(Target(*row[7:]), *row[:7]) for row in rows]


def heads(
    tx: sa.Connection,
    lane: Lane,
    *,
    after: str,
    room: int,
    probes: bool,
    conditions: Mapping[str, Any],
) -> Sequence[Waiting]:
    """The oldest of a lane behind the id `after`, `room` at most; `probes`: only such as wait.

    `conditions` are the values of `now` and `losses_allowed`.
    """
    place = {"tier": lane.tier, "provider_id": lane.provider_id, "owner": lane.owner}
    query = _PROBES if probes else _HEADS
    values = {**conditions, **place, "after": after, "room": room}
    return [Waiting(*row) for row in query.all(tx, values)]


def urgent(
    tx: sa.Connection, tier: str, provider_id: str, *, room: int, conditions: Mapping[str, Any]
) -> Sequence[Waiting]:
    """The oldest of those that do not wait for a closed gate."""
    place = {"tier": tier, "provider_id": provider_id, "room": room}
    return [Waiting(*row) for row in _URGENT.all(tx, {**conditions, **place})]
