"""Webhook deliveries: one a job that asked for it, opened in the transaction that ends the job.

Tries follow the schedule of `PAUSES`. A claim of a delivery ends by itself, so that a worker that
dies in mid-delivery costs one repeated try: receivers tell repeats by the id, which stays.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from shared.store.schema import chat_job, webhook_delivery

# Seconds before each try (Standard Webhooks' recommended schedule, up to its sixth retry).
PAUSES: Final = (0.0, 5.0, 300.0, 1_800.0, 7_200.0, 18_000.0, 36_000.0)
CLAIM_SECONDS: Final = 60.0  # a try lasts 15 s at most; the rest is for a slow database
# A provider's whole queue may end at once, and PostgreSQL takes 65,535 parameters a statement.
OPENED_TOGETHER: Final = 1_000

PENDING: Final = "pending"
DELIVERED: Final = "delivered"
FAILED: Final = "failed"


@dataclass(frozen=True, slots=True)
class Delivery:
    """A claimed delivery; `until` fences it. The webhook's url and secret are still sealed."""

    id: str
    job_id: str
    route: str
    type: str
    attempts: int
    created_at: float
    webhook_sealed: str
    until: float


_SOURCE: Final = sa.select(
    sa.literal("evt_", sa.Text) + chat_job.c.id,
    chat_job.c.id,
    sa.case((chat_job.c.route == "responses", "response."), else_="chat.completion.")
    + chat_job.c.state,
    sa.literal(PENDING, sa.Text),
    sa.bindparam("now", type_=sa.Double()),
    sa.bindparam("now", type_=sa.Double()),
).where(
    chat_job.c.id.in_(sa.bindparam("job_ids", expanding=True)),
    chat_job.c.webhook_sealed.is_not(None),
)
_OPEN: Final = {
    name: insert(webhook_delivery)
    .from_select(
        ["id", "job_id", "type", "status", "next_at", "created_at"],
        _SOURCE,
        include_defaults=False,
    )
    .on_conflict_do_nothing()
    for name, insert in (("sqlite", sqlite.insert), ("postgresql", postgresql.insert))
}
_DUE: Final = (
    sa.select(webhook_delivery.c.id)
    .where(
        sa.text("webhook_delivery.status = 'pending'"),
        webhook_delivery.c.next_at <= sa.bindparam("now"),
        webhook_delivery.c.claimed_until < sa.bindparam("now"),
    )
    .order_by(webhook_delivery.c.next_at)
    .limit(sa.bindparam("most", type_=sa.Integer()))
)
_MINE: Final = (
    webhook_delivery.c.id == sa.bindparam("mine"),
    webhook_delivery.c.claimed_until == sa.bindparam("until"),
)
_PUT_OFF: Final = (
    sa.update(webhook_delivery)
    .where(*_MINE)
    .values(next_at=sa.bindparam("later"), claimed_until=0.0)
)
_SETTLE: Final = (
    sa.update(webhook_delivery)
    .where(*_MINE)
    .values(
        status=sa.bindparam("became"),
        attempts=sa.bindparam("tried"),
        next_at=sa.bindparam("later"),
        claimed_until=0.0,
        last_status=sa.bindparam("answered"),
    )
    .returning(webhook_delivery.c.id)
)
# Before the delivery, as whoever deletes the job locks them: so that neither waits in a circle.
_ITS_JOB: Final = (
    sa.select(chat_job.c.id)
    .where(chat_job.c.id == sa.bindparam("its_job"))
    .with_for_update(key_share=True)
)
_SHOW: Final = (
    sa.update(chat_job)
    .where(chat_job.c.id == sa.bindparam("its_job"))
    .values(version=chat_job.c.version + 1)
)


def open_for(tx: sa.Connection, job_ids: Iterable[str], *, now: float) -> None:
    """Open a delivery for those of these ended jobs that asked for one."""
    ended = list(job_ids)
    for place in range(0, len(ended), OPENED_TOGETHER):
        some = ended[place : place + OPENED_TOGETHER]
        tx.execute(_OPEN[tx.dialect.name], {"job_ids": some, "now": now})


def any_due(tx: sa.Connection, *, now: float) -> bool:
    """A plain look, so that an idle worker takes no write lock."""
    return tx.execute(_DUE, {"now": now, "most": 1}).first() is not None


def claim(tx: sa.Connection, *, now: float, most: int) -> Sequence[Delivery]:
    """Claim up to `most` deliveries whose time has come."""
    due = tx.execute(_DUE.with_for_update(skip_locked=True), {"now": now, "most": most})
    ids = due.scalars().all()
    if not ids:
        return []
    until = now + CLAIM_SECONDS
    mine = webhook_delivery.c.id.in_(ids)
    tx.execute(sa.update(webhook_delivery).where(mine).values(claimed_until=until))
    rows = tx.execute(
        sa.select(
            webhook_delivery.c.id,
            webhook_delivery.c.job_id,
            chat_job.c.route,
            webhook_delivery.c.type,
            webhook_delivery.c.attempts,
            webhook_delivery.c.created_at,
            chat_job.c.webhook_sealed,
        )
        .join(chat_job, chat_job.c.id == webhook_delivery.c.job_id)
        .where(mine)
    )
    return [Delivery(*row, until) for row in rows]


def settle(tx: sa.Connection, delivery: Delivery, *, status: int | None, now: float) -> str | None:
    """Write how one try ended: `status` is the HTTP status, None where no answer came.

    2xx is delivered, 410 stops, all else is tried again until the schedule is over. The job shows
    it, so its version moves. Returns what the delivery is now; None when the claim ran out and was
    taken over, or the job was deleted.
    """
    tried = delivery.attempts + 1
    became, next_at = PENDING, now
    if status is not None and 200 <= status < 300:
        became = DELIVERED
    elif status == 410 or tried >= len(PAUSES):
        became = FAILED
    else:
        next_at = now + PAUSES[tried]
    values = {
        "mine": delivery.id,
        "until": delivery.until,
        "became": became,
        "tried": tried,
        "later": next_at,
        "answered": status,
    }
    tx.execute(_ITS_JOB, {"its_job": delivery.job_id})
    if tx.execute(_SETTLE, values).first() is None:
        return None
    tx.execute(_SHOW, {"its_job": delivery.job_id})
    return became


def put_off(tx: sa.Connection, later: Mapping[Delivery, float]) -> None:
    """Give claims up without a try; each is due again at its time."""
    rows = [
        {"mine": delivery.id, "until": delivery.until, "later": moment}
        for delivery, moment in later.items()
    ]
    if rows:
        tx.execute(_PUT_OFF, rows)


def is_open(job_id: sa.ColumnElement[str]) -> sa.ColumnElement[bool]:
    """Whether the delivery of this job, a column, is still to be tried."""
    return sa.exists().where(
        webhook_delivery.c.job_id == job_id, sa.text("webhook_delivery.status = 'pending'")
    )


def forget(tx: sa.Connection, job_ids: Collection[str]) -> None:
    """Drop the deliveries of jobs that were deleted before, in this transaction.

    In this order: whoever ends a job at the same time is waited for at the job's row.
    """
    tx.execute(sa.delete(webhook_delivery).where(webhook_delivery.c.job_id.in_(job_ids)))
