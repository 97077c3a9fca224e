"""`/jobs/<id>/again`: the same submitted once more, with all that was asked for.

This is the server's own work, because a webhook's secret never leaves it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from flask import Blueprint, Response, request

from services.registry.authentication import current_caller
from services.registry.chat import idempotency
from services.registry.chat.jobs import Jobs
from services.registry.chat.naming import COMPLETIONS
from services.registry.chat.request import Chat, ChatReader
from services.registry.chat.submission import Submission
from services.registry.console.pages import Console
from shared import ids, webhooks
from shared.crypto import Sealer
from shared.domain import OnInterrupt
from shared.store import jobs
from shared.store.access import Caller
from shared.store.jobs import Job, Sent
from shared.telemetry import request_id

_FIELDS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


def add(routes: Blueprint, console: Console, route: str) -> None:
    """Add the route below that of jobs."""
    parts = console.parts
    mine, submission, reader = Jobs(parts), Submission(parts), ChatReader()

    @routes.post(f"{route}/<job_id>/again")
    @console.signed_in
    def run_again(job_id: str) -> Response:
        """Submit the job again, in the background; 201 with the new one's page as `Location`."""
        caller = current_caller()
        job, _ = mine.get(job_id, caller)
        sent = parts.transactions.read(lambda tx: _sent(tx, job))
        body = msgspec.json.encode(repeated(job, sent, caller, parts.sealer))
        chat = _same_view(reader.read(body), job, sent, parts.sealer)
        key = idempotency.of(request, body, parts.sealer)
        submitted = submission.submit(
            ids.new(), chat, caller, request_id=request_id.get(), idempotency=key
        )
        again, _ = submitted.seen
        return Response(status=201, headers={"Location": f"{route}/{ids.COMPLETION}{again.id}"})


def repeated(job: Job, sent: Sent, caller: Caller, sealer: Sealer) -> dict[str, Any]:
    """The chat that asks for the same in the background; raises SealBroken.

    A foreground call could neither wait for its provider nor be stored unless it said so: it takes
    what is usual in the background. Another owner's webhook tells of that owner's jobs only.
    """
    body: dict[str, Any] = _FIELDS.decode(_opened(sealer, job, jobs.REQUEST, sent.request_sealed))
    if "stream" in body and "stream_options" in body:
        asked = _FIELDS.decode(body["stream_options"])
        body["stream_options"] = {**asked, "include_usage": sent.include_usage}
    options: dict[str, Any] = {
        "timeout": max(1, round(job.deadline - job.created_at)),
        "on_interrupt": OnInterrupt(sent.on_interrupt).value,
    }
    if job.background:
        options["on_unavailable"] = job.on_unavailable
        body["store"] = job.store
    if sent.webhook_sealed is not None and job.owner == caller.owner:
        hook = webhooks.unpacked(_opened(sealer, job, jobs.WEBHOOK, sent.webhook_sealed))
        options["webhook"] = {"url": hook.url, "secret": hook.secret.reveal()}
    return {
        **body,
        "model": job.model,
        "background": True,
        "metadata": job.metadata,
        "service_tier": job.service_tier,
        "background_options": options,
    }


def _same_view(chat: Chat, job: Job, sent: Sent, sealer: Sealer) -> Chat:
    """The chat, a response too where the job was submitted as one."""
    if sent.original_sealed is None:
        return chat
    original = _opened(sealer, job, jobs.ORIGINAL, sent.original_sealed)
    return replace(chat, route=sent.route, original=original)


def _sent(tx: sa.Connection, job: Job) -> Sent:
    sent = jobs.sent_of(tx, job.id)
    if sent is None:  # deleted a moment ago
        raise COMPLETIONS.unknown(COMPLETIONS.named(job.id))
    return sent


def _opened(sealer: Sealer, job: Job, column: str, sealed: str) -> bytes:
    return sealer.open(sealed, table=jobs.TABLE, row=job.id, column=column)
