"""Looking at jobs, ending and forgetting them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import click

from cli import completing, given, routes, wording
from cli.jobs.group import group
from cli.output import Column, Output
from cli.session import Session, calls

Document = Mapping[str, Any]


def waiting(job: Document) -> str:
    """Why a queued job is not running, as far as that is known."""
    found = job.get("waiting_for")
    if not found:
        position = job.get("queue_position")
        return f"position {position}" if position is not None else ""
    until = f", until {wording.clock(found['until'])}" if found.get("until") else ""
    cause = f" ({found['cause']})" if found.get("cause") else ""
    return f"{found['reason']}{cause}{until}"


def answer(job: Document) -> str:
    """What the model said, or what it wants done; of several choices the first."""
    for choice in job["choices"]:
        message = given.fields(choice.get("message"))
        if text := given.text(message.get("content")):
            return text
        if message.get("tool_calls"):
            return json.dumps(message["tool_calls"], ensure_ascii=False, indent=2)
    return ""


def _note(job: Document) -> str:
    error = job["error"] or {}
    return error.get("code") or (waiting(job) if job["status"] == "queued" else "")


COLUMNS = (
    Column("ID", lambda j: j["id"], whole=True),
    Column("STATE", lambda j: j["status"], state=True),
    Column("MODEL", lambda j: j["model"]),
    Column("CREATED", lambda j: wording.ago(j["created"])),
    Column(
        "TOKENS", lambda j: wording.count(given.fields(j["usage"]).get("total_tokens")), right=True
    ),
    Column("NOTE", _note),
)
ATTEMPTS = (
    Column("ATTEMPT", lambda a: a["attempt"], right=True),
    Column("AT", lambda a: wording.clock(a["started_at"])),
    Column("OUTCOME", lambda a: a["outcome"]),
    Column("UPSTREAM", lambda a: a["upstream_status"] or "-", right=True),
    Column("QUEUED", lambda a: wording.duration(a["timings"]["queued_seconds"]), right=True),
    Column(
        "FIRST BYTE", lambda a: wording.duration(a["timings"]["first_byte_seconds"]), right=True
    ),
    Column("TOTAL", lambda a: wording.duration(a["timings"]["total_seconds"]), right=True),
    Column("CALLS", lambda a: a["calls"], right=True),
    Column("URL", lambda a: a["chat_url"]),
)


def pairs(options: tuple[str, ...]) -> dict[str, str]:
    """`KEY=VALUE` as metadata; raises UsageError."""
    found = {}
    for pair in options:
        name, equals, value = pair.partition("=")
        if not (name and equals):
            raise click.UsageError(f"--metadata: expected KEY=VALUE, got {pair!r}.")
        found[name] = value
    return found


@group.command("list")
@click.option(
    "--status", metavar="STATE", help="queued, in_progress, completed, failed, cancelled."
)
@click.option("--model", metavar="ID", shell_complete=completing.model_ids)
@click.option("--provider", metavar="ID", shell_complete=completing.provider_slugs)
@click.option("--metadata", multiple=True, metavar="KEY=VALUE", help="May be repeated.")
@click.option("--limit", type=click.IntRange(1), metavar="N", default=20, show_default=True)
@click.option("--all", "every", is_flag=True, help="All there are.")
@click.option("--oldest", is_flag=True, help="Oldest first.")
@calls
def list_(
    session: Session,
    metadata: tuple[str, ...],
    limit: int,
    every: bool,
    oldest: bool,
    **wanted: str | None,
) -> None:
    """List the stored jobs, newest first. An admin sees everybody's."""
    query = {f"metadata[{name}]": value for name, value in pairs(metadata).items()}
    order = "asc" if oldest else "desc"
    most = None if every else limit
    found = session.api.pages(routes.CHAT, most=most, order=order, **wanted, **query)
    filtered = query or any(wanted.values())
    none = "There is no stored job yet. `./dragoman jobs submit` makes some of a file of chats."
    session.out.entries(found, COLUMNS, empty="No job fits." if filtered else none)


@group.command("show")
@click.argument("job_id", shell_complete=completing.job_ids)
@calls
def show(session: Session, job_id: str) -> None:
    """Show a job: its state, and its answer or error."""
    display(session.out, session.api.get(routes.job(job_id)))


def display(out: Output, job: Document) -> None:
    """The job as a document, or as facts and its answer."""
    if out.as_json:
        out.document(job)
        return
    usage, error = given.fields(job["usage"]), job["error"] or {}
    tokens = f"{usage.get('prompt_tokens', '?')} in, {usage.get('completion_tokens', '?')} out"
    began, ended = job["started_at"], job["completed_at"]
    out.facts(
        (
            ("id", job["id"]),
            ("state", job["status"]),
            ("waiting for", waiting(job) if job["status"] == "queued" else None),
            ("model", job["model"]),
            ("created", wording.clock(job["created"])),
            ("started", wording.clock(began)),
            ("ended", wording.clock(ended)),
            ("attempts", job["attempts"]),
            ("tokens", tokens if usage else None),
            ("tier", job["service_tier"]),
            ("metadata", " ".join(f"{k}={v}" for k, v in (job["metadata"] or {}).items())),
            ("error", error.get("message")),
            ("code", error.get("code")),
            ("billed?", "it may have been" if error.get("may_have_been_billed") else None),
            ("kept until", wording.clock(job["expires_at"])),
        )
    )
    if text := answer(job):
        out.text(f"\n{text}")
        out.end_line()


@group.command("messages")
@click.argument("job_id", shell_complete=completing.job_ids)
@calls
def messages(session: Session, job_id: str) -> None:
    """Show what was asked."""
    for message in session.api.pages(routes.job(job_id, "/messages")):
        if session.out.as_json:
            session.out.line(message)
        else:
            told = message.get("content") or message.get("content_parts") or ""
            shown = told if isinstance(told, str) else json.dumps(told, ensure_ascii=False)
            click.secho(f"{wording.safe(message.get('role', '?'))}:", bold=True)
            session.out.text(shown)
            session.out.end_line()


@group.command("attempts")
@click.argument("job_id", shell_complete=completing.job_ids)
@calls
def attempts(session: Session, job_id: str) -> None:
    """Show the evidence: what each attempt called, when, and what came."""
    listed = session.api.get(routes.job(job_id, "/attempts"))["data"]
    session.out.entries(listed, ATTEMPTS, empty="It was not attempted yet.")


@group.command("cancel")
@click.argument(
    "job_ids", nargs=-1, required=True, metavar="JOB_ID...", shell_complete=completing.job_ids
)
@calls
def cancel(session: Session, job_ids: tuple[str, ...]) -> None:
    """End jobs now; those that have ended stay as they are."""
    for job_id in job_ids:
        job = session.api.send("POST", routes.job(job_id, "/cancel"))
        if session.out.as_json:
            session.out.line(job)
        else:
            session.out.say(f"{job['id']} is {job['status']}.")


@group.command("delete")
@click.argument(
    "job_ids", nargs=-1, required=True, metavar="JOB_ID...", shell_complete=completing.job_ids
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@calls
def delete(session: Session, job_ids: tuple[str, ...], yes: bool) -> None:
    """Forget jobs, their questions and answers; live ones are cancelled first."""
    what = job_ids[0] if len(job_ids) == 1 else f"{len(job_ids)} jobs"
    session.confirm(f"Delete {what}?", yes=yes)
    for job_id in job_ids:
        deleted = session.api.send("DELETE", routes.job(job_id))
        if session.out.as_json:
            session.out.line(deleted)
        else:
            session.out.say(f"Deleted {job_id}.")
