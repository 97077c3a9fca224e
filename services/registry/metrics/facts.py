"""What is so for the whole installation, from the database: the same from every registry.

Each statement reads an index that holds only what is open (queued, running, pending), or a row a
provider; none grows with the jobs that have ended.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final

import sqlalchemy as sa

from services.registry import relay
from shared import ids
from shared.domain import DiscoveryStatus, JobState
from shared.metrics import Fact
from shared.store import events
from shared.store.database import database_now
from shared.store.schema import (
    chat_job,
    discovery,
    leader,
    model,
    provider,
    provider_gate,
    webhook_delivery,
    worker,
)

MOST_PROVIDERS: Final = 2_000  # shown one by one; there may be more
DELETED: Final = "(deleted)"  # no slug, so no provider's
OVERDUE_SECONDS: Final = 60.0  # past its deadline a job ends within seconds

_QUEUED: Final = sa.text("chat_job.state = 'queued'")  # literal: the partial indexes are by it
_RUNNING: Final = sa.text("chat_job.state = 'in_progress'")
_LANES: Final = (
    sa.select(
        chat_job.c.provider_id, chat_job.c.service_tier, sa.func.count(), sa.func.min(chat_job.c.id)
    )
    .where(_QUEUED)
    .group_by(chat_job.c.service_tier, chat_job.c.provider_id)
)
# One pass: it looks each row up, 8 µs a call in flight on SQLite.
_CALLS: Final = (
    sa.select(
        chat_job.c.provider_id,
        chat_job.c.service_tier,
        sa.func.count(),
        sa.func.sum(sa.case((chat_job.c.deadline < sa.bindparam("late"), 1), else_=0)),
    )
    .where(_RUNNING)
    .group_by(chat_job.c.provider_id, chat_job.c.service_tier)
)
_LATE: Final = sa.select(sa.func.count()).where(_QUEUED, chat_job.c.deadline < sa.bindparam("late"))
_SUSPECTS: Final = sa.select(sa.func.count()).where(
    sa.text("chat_job.losses >= 2"), chat_job.c.state.in_((JobState.QUEUED, JobState.IN_PROGRESS))
)
_PROVIDERS: Final = (
    sa.select(
        provider.c.id,
        provider.c.slug,
        provider.c.enabled,
        discovery.c.status,
        discovery.c.ok_at,
        discovery.c.next_check_at,
        sa.case(
            (provider_gate.c.provider_revision == provider.c.revision, provider_gate.c.reason)
        ).label("gate"),
    )
    .outerjoin(discovery, discovery.c.provider_id == provider.c.id)
    .outerjoin(provider_gate, provider_gate.c.provider_id == provider.c.id)
    .where(provider.c.deleted_at.is_(None))
    .order_by(provider.c.id)
)
_MODELS: Final = (
    sa.select(model.c.provider_id, sa.func.count())
    .where(sa.text("model.gone_at IS NULL"))
    .group_by(model.c.provider_id)
)
_WEBHOOKS: Final = sa.select(sa.func.count(), sa.func.min(webhook_delivery.c.next_at)).where(
    sa.text("webhook_delivery.status = 'pending'")
)
_WORKERS: Final = sa.select(
    worker.c.suspect_since.is_not(None), worker.c.lease_until > database_now()
)
_LEADERS: Final = sa.select(leader.c.name).where(leader.c.lease_until > database_now())

# Name → type, labels and help.
SHOWN: Final = {
    "dragoman_jobs": ("gauge", ("provider", "tier", "state"), "Jobs that have not ended."),
    "dragoman_oldest_queued_job_age_seconds": (
        *("gauge", ("provider", "tier")),
        "Time since the oldest queued job was submitted.",
    ),
    "dragoman_jobs_past_deadline": (
        *("gauge", ()),
        "Jobs that should have ended a minute ago, and have not.",
    ),
    "dragoman_jobs_suspect": ("gauge", (), "Open jobs that lost two workers; a third ends them."),
    "dragoman_providers": ("gauge", ("enabled",), "Providers."),
    "dragoman_provider_status": (
        *("gauge", ("provider", "status")),
        "1 for what the last look at a provider's models found.",
    ),
    "dragoman_provider_last_ok_timestamp_seconds": (
        *("gauge", ("provider",)),
        "When the last good list of models came.",
    ),
    "dragoman_provider_check_overdue_seconds": (
        *("gauge", ("provider",)),
        "How long the next look at an enabled provider's models has been due.",
    ),
    "dragoman_provider_gate_closed": (
        *("gauge", ("provider",)),
        "1 while jobs wait because the provider was away or refused calls.",
    ),
    "dragoman_provider_models": ("gauge", ("provider",), "Models that a provider lists."),
    "dragoman_webhooks_pending": ("gauge", (), "Webhooks that have not been settled."),
    "dragoman_webhooks_overdue_seconds": (
        *("gauge", ()),
        "How long the webhook that is due longest has been due.",
    ),
    "dragoman_chat_workers": (
        *("gauge", ("state",)),
        "Chat workers: alive, late (its lease is over) or suspect (the sweep has noticed).",
    ),
    "dragoman_leader": (
        *("gauge", ("duty",)),
        "1 while a process has the duty: relay of events, sweep of dead workers' jobs.",
    ),
    "dragoman_events_total": ("counter", (), "Events about providers so far."),
}
_DUTIES: Final = (relay.DUTY, "sweep")

Samples = dict[tuple[str, ...], float]


def read(tx: sa.Connection, *, now: float) -> list[Fact]:
    """Every fact of `SHOWN`, in one transaction."""
    found: dict[str, Samples] = {name: {} for name in SHOWN}
    for name, values, figure in (*_by_provider(tx, now), *_of_the_whole(tx, now)):
        samples = found[name]
        samples[values] = samples.get(values, 0.0) + figure
    return [
        Fact(name, text, kind, labels, found[name]) for name, (kind, labels, text) in SHOWN.items()
    ]


Figure = tuple[str, tuple[str, ...], float]


def _by_provider(tx: sa.Connection, now: float) -> Iterator[Figure]:
    rows = tx.execute(_PROVIDERS).all()
    slugs = {row.id: row.slug for row in rows}
    enabled = Counter(bool(row.enabled) for row in rows)
    for is_enabled in (True, False):
        yield "dragoman_providers", (str(is_enabled).lower(),), enabled[is_enabled]
    for row in rows[:MOST_PROVIDERS]:
        only = (row.slug,)
        status = row.status or DiscoveryStatus.PENDING.value
        yield "dragoman_provider_status", (*only, status), 1
        yield "dragoman_provider_gate_closed", only, row.gate is not None
        if row.ok_at is not None:
            yield "dragoman_provider_last_ok_timestamp_seconds", only, row.ok_at
        if row.enabled and row.next_check_at is not None:
            overdue = max(now - row.next_check_at, 0.0)
            yield "dragoman_provider_check_overdue_seconds", only, overdue
    shown = {row.id for row in rows[:MOST_PROVIDERS]}
    for provider_id, count in tx.execute(_MODELS):
        if provider_id in shown:
            yield "dragoman_provider_models", (slugs[provider_id],), count
    for provider_id, tier, count, oldest in tx.execute(_LANES):
        lane = (slugs.get(provider_id, DELETED), tier)
        yield "dragoman_jobs", (*lane, JobState.QUEUED.value), count
        age = max(now - ids.made_at(oldest), 0.0)
        yield "dragoman_oldest_queued_job_age_seconds", lane, age
    late = {"late": now - OVERDUE_SECONDS}
    yield "dragoman_jobs_past_deadline", (), tx.execute(_LATE, late).scalar_one()
    for provider_id, tier, count, overdue in tx.execute(_CALLS, late):
        lane = (slugs.get(provider_id, DELETED), tier)
        yield "dragoman_jobs", (*lane, JobState.IN_PROGRESS.value), count
        yield "dragoman_jobs_past_deadline", (), overdue


def _of_the_whole(tx: sa.Connection, now: float) -> Iterator[Figure]:
    yield "dragoman_jobs_suspect", (), tx.execute(_SUSPECTS).scalar_one()
    pending, due = tx.execute(_WEBHOOKS).one()
    yield "dragoman_webhooks_pending", (), pending
    yield "dragoman_webhooks_overdue_seconds", (), max(now - due, 0.0) if pending else 0.0
    workers: Counter[str] = Counter()
    for suspect, holds in tx.execute(_WORKERS):
        workers["suspect" if suspect else "alive" if holds else "late"] += 1
    for state in ("alive", "late", "suspect"):
        yield "dragoman_chat_workers", (state,), workers[state]
    led = set(tx.execute(_LEADERS).scalars())
    for duty in _DUTIES:
        yield "dragoman_leader", (duty,), duty in led
    yield "dragoman_events_total", (), events.last_seq(tx)
