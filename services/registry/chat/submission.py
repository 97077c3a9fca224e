"""From a valid chat to a durable job, in one transaction."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from services.registry.bell import Bell
from services.registry.chat.documents import Circumstances, circumstances
from services.registry.chat.request import Chat
from services.registry.database import Transactions, batch_memo
from services.registry.models.resolution import Resolved, resolve
from shared.crypto import Sealer
from shared.domain import JobState
from shared.errors import ModelNotFound
from shared.store import jobs
from shared.store.access import Caller
from shared.store.jobs import Job, NewJob
from shared.store.jobs.read import POSITION_LIMIT

Accepted = tuple[Job, Circumstances]


class Submission:
    """Accepts chats; one for all requests of a process."""

    def __init__(
        self, transactions: Transactions, sealer: Sealer, bell: Bell, now: Callable[[], float]
    ) -> None:
        self._transactions = transactions
        self._sealer = sealer
        self._bell = bell
        self._now = now

    def submit(
        self, job_id: str, chat: Chat, caller: Caller, *, request_id: str | None
    ) -> Accepted:
        """The job, durable, under this bare id; the chat workers hear of it.

        Raises what `resolve` raises, and StoreUnavailable.
        """
        now = self._now()

        def accept(tx: sa.Connection) -> Accepted:
            resolved = resolve(tx, chat.request.model, caller)
            job = self._new_job(job_id, chat, caller, resolved, now=now, request_id=request_id)
            if not jobs.insert(tx, job):
                raise ModelNotFound(
                    f"Expected a living provider, got {resolved.provider.slug!r}, which was "
                    "deleted or disabled a moment ago. Use another one.",
                    param="model",
                )
            return _as_read(tx, job, now=now)

        accepted = self._transactions.write(accept)
        self._bell.ring()
        return accepted

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
            request_sealed=self._sealer.seal(
                body, table=jobs.TABLE, row=job_id, column=jobs.REQUEST
            ),
        )


def _as_read(tx: sa.Connection, new: NewJob, *, now: float) -> Accepted:
    """The job as a read would show it, from one read a provider and transaction.

    Further jobs of the same batch only stand one place behind the last.
    """
    memo = batch_memo(tx)
    key = ("standing", new.provider_id, new.on_unavailable)
    if key in memo:
        job, around = memo[key]
        around = replace(around, queue_position=_next(around.queue_position))
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
    return replace(job, state=JobState.QUEUED, **same, **times), around


def _next(position: int | None) -> int | None:
    return None if position is None or position + 1 >= POSITION_LIMIT else position + 1
