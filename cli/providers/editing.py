"""Registering, changing and forgetting providers."""

from __future__ import annotations

from typing import Any

import click

from cli import completing, routes, wording
from cli.failures import JobFailed, Refused
from cli.providers import fields
from cli.providers.checking import discovered, run_check
from cli.providers.group import group
from cli.providers.showing import display
from cli.session import Session, calls

FIRST_LOOK_SECONDS = 10
LOOKED_AT = {"endpoint", "api_key"}  # what is known of the server says nothing of another one


@group.command("add")
@click.argument("name", required=False)
@fields.key_options
@fields.field_options
@click.option("--slug", metavar="SLUG", help="What model ids begin with. Default: from the name.")
@click.option("--test", "tested", is_flag=True, help="Test it step by step before saving.")
@calls
def add(
    session: Session,
    name: str | None,
    api_key_file: str | None,
    no_key: bool,
    tested: bool,
    **given: Any,
) -> None:
    """Register an endpoint. For admins.

    On a terminal you are asked for what is missing; elsewhere NAME and --endpoint are needed, and
    without --api-key-file it has no key.
    """
    given["name"] = name
    for field, question in (("name", "Name"), ("endpoint", "Endpoint (any spelling of its URL)")):
        if given[field] is None:
            if not session.asks:
                raise click.UsageError("Expected NAME and --endpoint where nobody can be asked.")
            given[field] = click.prompt(question, err=True)
    body = fields.body_of(given) | fields.key_field(session, api_key_file, no_key=no_key)
    if "api_key" not in body and session.asks:
        body |= fields.ask_key(session, "API key of that server (not shown; empty: none)")
    if tested:
        tried = {k: value for k, value in body.items() if k in ("endpoint", "api_key", "options")}
        check = run_check(session, tried)
        if any(step["verdict"] == "failed" for step in check["steps"]):
            if not session.asks:
                raise JobFailed("Expected every step to succeed. Nothing was saved.")
            session.confirm("A step failed. Save it all the same?", yes=False)
        elif check["endpoint"]:
            body["endpoint"] = check["endpoint"]
    provider = session.api.send("POST", routes.PROVIDERS, body)
    if not session.out.as_json:
        provider = discovered(session, provider, FIRST_LOOK_SECONDS)
    display(session.out, provider)


@group.command("edit")
@click.argument("provider", shell_complete=completing.provider_slugs)
@click.option("--name", metavar="NAME")
@fields.key_options
@click.option("--ask-key", is_flag=True, help="Ask for a new key.")
@fields.field_options
@click.option("--enable/--disable", "enabled", default=None, help="Take new jobs, or none.")
@calls
def edit(
    session: Session,
    provider: str,
    api_key_file: str | None,
    no_key: bool,
    ask_key: bool,
    **given: Any,
) -> None:
    """Change a provider: what is not given stays as it is. For admins.

    Repeated options (--tag, --model, --allow-model) replace the whole list. A stored key does not
    follow the endpoint to another host: it is asked for, or given again. With another endpoint or
    key the server is looked at before this returns, for 10 s at most.
    """
    body = fields.body_of(given) | fields.key_field(session, api_key_file, no_key=no_key)
    if ask_key:
        if not session.asks:
            raise click.UsageError("Expected --api-key-file where nobody can be asked.")
        body |= fields.ask_key(session, "New API key of that server (not shown; empty: none)")
    if not body:
        raise click.UsageError("Expected something to change, got no option. See --help.")
    path = routes.provider(provider)
    try:
        changed = session.api.send("PATCH", path, body)
    except Refused as refused:
        moves = refused.param == "api_key" and "endpoint" in body and "api_key" not in body
        if not (moves and session.asks):
            raise
        session.out.say(refused.message)
        body |= fields.ask_key(session, "API key for the new address (not shown; empty: none)")
        changed = session.api.send("PATCH", path, body)
    if body.keys() & LOOKED_AT and changed["enabled"] and not session.out.as_json:
        changed = discovered(session, changed, FIRST_LOOK_SECONDS)
    display(session.out, changed)


@group.command("delete")
@click.argument("provider", shell_complete=completing.provider_slugs)
@click.option("--yes", is_flag=True, help="Do not ask.")
@calls
def delete(session: Session, provider: str, yes: bool) -> None:
    """Forget a provider, after showing what that touches. For admins."""
    impact = session.api.get(routes.provider(provider, "/impact"))
    used = wording.ago(impact["last_used_at"]) if impact["last_used_at"] else "never"
    session.out.say(f"{impact['message']} Last used: {used}.")
    session.confirm(f"Delete {provider}?", yes=yes)
    session.api.call("DELETE", routes.provider(provider))
    if session.out.as_json:
        session.out.document(impact)
    else:
        session.out.say(f"Deleted {provider}.")
