"""From a valid chat to a durable job, in one transaction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gevent
import sqlalchemy as sa
from msgspec.structs import replace

from services.registry.chat import webhooks
from services.registry.chat.backlog import Backlog
from services.registry.chat.documents import Circumstances, Seen, circumstances
from services.registry.chat.idempotency import HEADER, Idempotency
from services.registry.chat.request import Chat
from services.registry.database import batch_memo
from services.registry.models.resolution import Resolved, resolve
from services.registry.parts import Parts
from shared.domain import JobState
from shared.errors import IdempotencyKeyReused, ModelNotFound
from shared.store import jobs
from shared.store.access import Caller
from shared.store.jobs import NewJob
from shared.store.jobs.read import POSITION_LIMIT


@dataclass(frozen=True, slots=True)
class Submitted:
    """The job of a request, and whether an earlier request had made it."""

    seen: Seen
    replayed: bool


class Submission:
    """Accepts chats; one for all requests of a process."""

    def __init__(self, parts: Parts) -> None:
        self._transactions = parts.transactions
        self._sealer = parts.sealer
        self._policy = parts.policy
        self._bell = parts.bell
        self._now = parts.now
        self._limiter = parts.limiter
        self._figures = parts.figures
        self._tracing = parts.tracing
        self._backlog = Backlog(parts.transactions, parts.settings.queue_limit)

    def submit(
        self,
        job_id: str,
        chat: Chat,
        caller: Caller,
        *,
        request_id: str | None,
        idempotency: Idempotency | None = None,
    ) -> Submitted:
        """The job, durable, under this bare id; the chat workers hear of it.

        Or the one that was submitted before with this key. Raises what `resolve` raises,
        InvalidValue, IdempotencyKeyReused, QueueFull, RateLimited and StoreUnavailable.
        """
        now, refusal = self._now(), self._limiter.submission(caller) or self._backlog.refusal()

        def accept(tx: sa.Connection) -> Submitted:
            if (known := _known(tx, chat, caller, idempotency, now=now)) is not None:
                return known
            if refusal is not None:
                raise refusal
            resolved = resolve(tx, chat.request.model, caller)
            job = self._new_job(job_id, chat, caller, resolved, now=now, request_id=request_id)
            if idempotency is not None:
                job = replace(
                    job,
                    idempotency_key=idempotency.key,
                    body_fingerprint=idempotency.fingerprint,
                )
            if jobs.insert(tx, job):
                return Submitted(_as_read(tx, job, now=now), replayed=False)
            # Another process may have taken the key since we looked.
            if (known := _known(tx, chat, caller, idempotency, now=now)) is not None:
                return known
            raise ModelNotFound(
                f"Expected a living provider, got {resolved.provider.slug!r}, which was "
                "deleted or disabled a moment ago. Use another one.",
                param="model",
            )

        submitted = self._transactions.write(accept)
        if not submitted.replayed:
            self._backlog.accepted()
            self._bell.ring()
            gevent.sleep(0)  # the bell first, then whatever the others of this commit do next
            job, _ = submitted.seen
            self._tracing.accepted(job.id)
            self._figures.accepted(job.provider_slug, chat.service_tier, background=chat.background)
        return submitted

    def _new_job(
        self,
        job_id: str,
        chat: Chat,
        caller: Caller,
        resolved: Resolved,
        *,
        now: float,
        request_id: str | None,
    ) -> NewJob:
        body = chat.body_for(resolved.upstream_model)
        original = None
        if chat.original is not None:
            place = {"table": jobs.TABLE, "row": job_id, "column": jobs.ORIGINAL}
            original = self._sealer.seal(chat.original, **place)
        return NewJob(
            id=job_id,
            owner=caller.owner,
            key_id=caller.key_id,
            request_id=request_id,
            provider_id=resolved.provider.id,
            model=resolved.model,
            upstream_model=resolved.upstream_model,
            background=chat.background,
            store=chat.store,
            service_tier=chat.service_tier,
            metadata=chat.request.metadata or {},
            on_interrupt=chat.options.on_interrupt.value,
            on_unavailable=chat.on_unavailable.value,
            deadline=now + chat.timeout,
            created_at=now,
            route=chat.route,
            original_sealed=original,
            stream=chat.stream,
            include_usage=chat.include_usage,
            request_sealed=self._sealer.seal(
                body, table=jobs.TABLE, row=job_id, column=jobs.REQUEST
            ),
            webhook_sealed=webhooks.sealed(
                chat.options.webhook, job_id, self._sealer, self._policy
            ),
        )


def _known(
    tx: sa.Connection, chat: Chat, caller: Caller, idempotency: Idempotency | None, *, now: float
) -> Submitted | None:
    """The job that this key stands for already; raises IdempotencyKeyReused."""
    if idempotency is None:
        return None
    found = jobs.by_key(tx, owner=caller.owner, route=chat.route, key=idempotency.key)
    if found is None:
        return None
    job_id, fingerprint = found
    if fingerprint != idempotency.fingerprint:
        raise IdempotencyKeyReused(
            "Expected the body that came first with this Idempotency-Key, got another one. "
            "Use a new key for a new request.",
            param=HEADER,
        )
    job = jobs.get(tx, job_id, owner=None)
    assert job is not None  # noqa: S101 - found in this transaction
    return Submitted((job, circumstances(tx, job, now=now)), replayed=True)


def _as_read(tx: sa.Connection, new: NewJob, *, now: float) -> Seen:
    """The job as a read would show it, from one read a provider and transaction.

    Further jobs of the same batch only stand one place behind the last.
    """
    memo = batch_memo(tx)
    key = ("standing", new.provider_id, new.on_unavailable)
    if key in memo:
        job, around = memo[key]
        around = Circumstances(_next(around.queue_position), around.waiting_for)
    else:
        found = jobs.get(tx, new.id, owner=None)
        assert found is not None  # noqa: S101 - inserted in this transaction
        job, around = found, circumstances(tx, found, now=now)
    memo[key] = (job, around)
    same: dict[str, Any] = {
        name: getattr(new, name)
        for name in ("id", "owner", "model", "background", "store", "service_tier", "metadata")
    }
    times = {"created_at": new.created_at, "deadline": new.deadline}
    hooked = new.webhook_sealed is not None
    return replace(job, state=JobState.QUEUED, webhook=hooked, **same, **times), around


def _next(position: int | None) -> int | None:
    return None if position is None or position + 1 >= POSITION_LIMIT else position + 1
