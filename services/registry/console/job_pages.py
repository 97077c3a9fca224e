"""`/jobs`: the list, and one job with what was asked, what came, and the evidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from flask import Blueprint, Response
from marshmallow import fields, validate

from services.registry.authentication import current_caller
from services.registry.chat.documents import Seen, attempt_document, completion
from services.registry.chat.jobs import Jobs
from services.registry.chat.naming import COMPLETIONS
from services.registry.chat.records import COMPLETION_ID
from services.registry.console import figures, job_texts, offered, queries, running_again
from services.registry.console.pages import Console, is_fragment
from services.registry.keys.schemas import OWNER
from services.registry.paging import MOST
from services.registry.schemas import Strict, Text
from shared import ids
from shared.domain import JobState
from shared.store.access import Caller
from shared.store.jobs import MOST_LOOKED_AT, Page, Wanted

ROUTE: Final = "/jobs"
PAGE: Final = 25  # jobs
NOT_SHOWN: Final[Mapping[str, Any]] = {"choices": (), "messages": (), "parameters": {}}


class JobPageQuery(Strict):
    """The query of `/jobs`; every filter may be left empty."""

    after = Text(load_default=None, pattern=COMPLETION_ID, expected="the id of a job")
    limit = fields.Integer(validate=validate.Range(1, MOST), load_default=PAGE)
    status = fields.Enum(JobState, by_value=True, load_default=None)
    provider = Text(load_default=None)
    model = Text(load_default=None)
    metadata = Text(
        load_default=None, pattern=r"[^=]{1,64}=.*", expected="a name, `=`, and a value"
    )
    owner = Text(load_default=None, pattern=OWNER, expected="an owner")


def add(routes: Blueprint, console: Console) -> None:
    """Add the routes to those of the console."""
    parts = console.parts
    jobs = Jobs(parts)
    figures.install(console.templates)

    @routes.get(ROUTE)
    @console.signed_in
    def show_jobs() -> Response:
        """The stored jobs that the caller may see, newest first."""
        asked, caller = queries.asked(JobPageQuery), current_caller()
        after = asked["after"]
        seen, found = jobs.look(
            _wanted(asked, caller),
            limit=asked["limit"],
            after=COMPLETIONS.bare(after) if after is not None else None,
            newest_first=True,
        )
        return console.render(
            "jobs/list.html",
            jobs=[_row(one) for one in seen],
            states=[state.value for state in JobState],
            providers=()
            if is_fragment()
            else parts.transactions.read(lambda tx: offered.visible(tx, caller)),
            asked={name: getattr(value, "value", value) for name, value in asked.items()},
            most=MOST_LOOKED_AT,
            first=queries.here(after=None) if after else None,
            following=queries.here(after=_last(seen, found)) if found.has_more else None,
        )

    @routes.get(f"{ROUTE}/<job_id>")
    @console.signed_in
    def show_job(job_id: str) -> Response:
        """One job in every state."""
        caller = current_caller()
        seen = jobs.get(job_id, caller)
        job, evidence = jobs.attempts(job_id, caller)
        sent = msgspec.json.decode(jobs.request(job_id, caller))
        shown = completion(*seen, parts.sealer)
        return console.render(
            "jobs/job.html",
            row=_row(seen),
            error=shown["error"],
            webhook=shown["webhook"],
            tokens=job_texts.tokens(shown["usage"]),
            **(NOT_SHOWN if is_fragment() else _conversation(sent, shown["choices"])),
            streamed=sent.get("stream") is True,
            attempts=[attempt_document(job, one) for one in evidence],
            foreign=seen[0].owner != caller.owner,
        )

    running_again.add(routes, console, ROUTE)


def _conversation(sent: Mapping[str, Any], choices: Any) -> dict[str, Any]:
    """What was asked and answered: megabytes, which fragments leave out (`NOT_SHOWN`)."""
    return {
        "choices": [job_texts.choice(one) for one in job_texts.objects(choices)],
        "messages": [job_texts.message(one) for one in sent["messages"]],
        "parameters": job_texts.parameters(sent),
    }


def _wanted(asked: dict[str, Any], caller: Caller) -> Wanted:
    name, _, value = (asked["metadata"] or "").partition("=")
    return Wanted(
        owner=asked["owner"] if caller.is_admin else caller.owner,
        state=asked["status"],
        model=asked["model"],
        provider=asked["provider"],
        metadata={name: value} if name else {},
    )


def _last(seen: Sequence[Seen], found: Page) -> str:
    """The id behind which the next page begins."""
    return ids.COMPLETION + (found.stopped_at or seen[-1][0].id)


def _row(seen: Seen) -> dict[str, Any]:
    """What both pages show of a job: its facts without its content."""
    job, around = seen
    began = job.started_at
    ended = job.completed_at
    return {
        "id": ids.COMPLETION + job.id,
        "job": job,
        "state": job.state.value,
        "live": not job.state.terminal,
        "waiting_for": around.waiting_for,
        "queue_position": around.queue_position,
        "queued_seconds": None if began is None else max(0.0, began - job.created_at),
        "run_seconds": None if began is None or ended is None else max(0.0, ended - began),
    }
