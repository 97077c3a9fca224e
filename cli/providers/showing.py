"""Looking at providers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import click

from cli import completing, events, routes, wording
from cli.output import Column, Output
from cli.providers.group import group
from cli.session import Session, calls

Document = Mapping[str, Any]


def key_of(provider: Document) -> str:
    """What may be said about a provider's key."""
    key = provider["api_key"]
    if not key["set"]:
        return "no key"
    return f"…{key['last4']}" if key["last4"] else "set"


COLUMNS = (
    Column("SLUG", lambda p: p["slug"], whole=True),
    Column("STATE", lambda p: p["discovery"]["status"], state=True),
    Column("MODELS", lambda p: wording.count(p["discovery"]["model_count"]), right=True),
    Column("HOST", lambda p: urlsplit(p["chat_url"]).netloc),
    Column("KEY", key_of),
    Column("LAST GOOD", lambda p: wording.ago(p["discovery"]["ok_at"])),
    Column("NEXT CHECK", lambda p: wording.ago(p["discovery"]["next_check_at"])),
    Column("TAGS", lambda p: ", ".join(p["tags"])),
)
MODELS = (
    Column("MODEL", lambda m: m["id"], whole=True),
    Column("CONTEXT", lambda m: wording.count(m["context_length"]), right=True),
    Column("SOURCE", lambda m: m["source"]),
    Column("FIRST SEEN", lambda m: wording.clock(m["first_seen"])),
    Column("LAST SEEN", lambda m: wording.ago(m["last_seen"])),
    Column("GONE", lambda m: wording.ago(m["gone_at"])),
)


@group.command("list")
@click.option("--tag", multiple=True, metavar="TAG", help="Only with this tag; again: with both.")
@click.option("--status", metavar="STATE", help="Only in this state, like unreachable.")
@click.option(
    "--q", metavar="TEXT", help="Only whose name, slug, endpoint or description holds it."
)
@calls
def list_(session: Session, tag: tuple[str, ...], status: str | None, q: str | None) -> None:
    """List the providers."""
    found = session.api.pages(routes.PROVIDERS, tag=tag, status=status, q=q)
    empty = (
        "No provider fits."
        if tag or status or q
        else ("There is no provider yet. `./dragoman providers add` registers one.")
    )
    session.out.entries(found, COLUMNS, empty=empty)


@group.command("show")
@click.argument("provider", shell_complete=completing.provider_slugs)
@calls
def show(session: Session, provider: str) -> None:
    """Show one provider, by slug or id."""
    display(session.out, session.api.get(routes.provider(provider)))


def display(out: Output, provider: Document) -> None:
    """The provider as a document, or as facts."""
    if out.as_json:
        out.document(provider)
        return
    found, key = provider["discovery"], provider["api_key"]
    options = provider["options"]
    visible = provider["visibility"]
    out.facts(
        (
            ("name", provider["name"]),
            ("slug", provider["slug"]),
            ("id", provider["id"]),
            ("state", found["status"]),
            ("error", (found["error"] or {}).get("message")),
            ("models", wording.count(found["model_count"])),
            ("chat", provider["chat_url"]),
            ("list", provider["models_url"]),
            ("key", key_of(provider)),
            ("key fingerprint", key["fingerprint"]),
            ("key proven", wording.clock(found["key_verified_at"])),
            ("last check", wording.ago(found["checked_at"])),
            ("last good", wording.ago(found["ok_at"])),
            ("next check", wording.ago(found["next_check_at"])),
            ("tags", ", ".join(provider["tags"])),
            ("visible to", visible if isinstance(visible, str) else ", ".join(visible)),
            ("options", ", ".join(f"{k} {v}" for k, v in options.items() if v not in (None, []))),
            ("description", provider["description"]),
            ("created", wording.clock(provider["created_at"])),
            ("changed", wording.clock(provider["updated_at"])),
            ("revision", provider["revision"]),
        )
    )


@group.command("models")
@click.argument("provider", shell_complete=completing.provider_slugs)
@click.option("--gone", is_flag=True, help="Also those that have vanished.")
@calls
def show_models(session: Session, provider: str, gone: bool) -> None:
    """List a provider's models, with context lengths and dates."""
    listed = session.api.get(routes.provider(provider, "/models"), gone="true" if gone else None)
    session.out.entries(listed["data"], MODELS, empty="It lists no model.")


@group.command("events")
@click.argument("provider", shell_complete=completing.provider_slugs)
@click.option("--limit", type=click.IntRange(1), metavar="N", default=20, show_default=True)
@calls
def show_events(session: Session, provider: str, limit: int) -> None:
    """Show a provider's timeline, newest first."""
    found = session.api.pages(routes.provider(provider, "/events"), most=limit, order="desc")
    session.out.entries(found, events.COLUMNS, empty="Nothing has happened yet.")
