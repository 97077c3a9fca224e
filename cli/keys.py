"""`keys`: who may call, and as what."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import click

from cli import completing, routes, wording
from cli.output import Column
from cli.session import Session, calls


def _state(key: Mapping[str, Any]) -> str:
    if key["revoked_at"] is not None:
        return "revoked"
    return f"until {wording.clock(key['expires_at'])}" if key["expires_at"] else "valid"


def _limits(key: Mapping[str, Any]) -> str:
    limits = key.get("limits") or {}
    told = (("requests_per_minute", "requests/min"), ("tokens_per_day", "tokens/day"))
    return ", ".join(f"{limits[name]:,} {unit}" for name, unit in told if limits.get(name))


COLUMNS = (
    Column("ID", lambda k: k["id"], whole=True),
    Column("NAME", lambda k: k["name"]),
    Column("OWNER", lambda k: k["owner"]),
    Column("ROLE", lambda k: k["role"]),
    Column("LIMITS", _limits),
    Column("LAST USED", lambda k: wording.ago(k["last_used_at"])),
    Column("VALIDITY", _state),
)


@click.group("keys")
def group() -> None:
    """API keys: list, create, revoke; and this installation's master key."""


@group.command("list")
@click.option("--owner", metavar="OWNER", help="Only keys of this owner.")
@click.option("--all", "revoked", is_flag=True, help="Revoked ones, too.")
@calls
def list_(session: Session, owner: str | None, revoked: bool) -> None:
    """List the keys. For admins; secrets are never shown."""
    listed = session.api.pages(routes.KEYS, owner=owner)
    found = (key for key in listed if revoked or key["revoked_at"] is None)
    session.out.entries(found, COLUMNS, empty="There is no such key.")


@group.command("create")
@click.argument("name")
@click.option("--owner", metavar="OWNER", help="Whose jobs it sees. Default: from the name.")
@click.option(
    "--role",
    type=click.Choice(["member", "admin"]),
    metavar="ROLE",
    help="member (default) or admin.",
)
@click.option(
    "--expires",
    "expires_at",
    type=wording.Moment(ahead=True),
    metavar="TIME",
    help="A date, or a span from now like 30d. Default: never.",
)
@click.option("--requests-per-minute", type=click.IntRange(1), metavar="N")
@click.option("--tokens-per-day", type=click.IntRange(1), metavar="N")
@calls
def create(
    session: Session,
    name: str,
    requests_per_minute: int | None,
    tokens_per_day: int | None,
    **fields: Any,
) -> None:
    """Make a key, and print it: it is shown only this once. For admins.

    Only the key goes to standard output: KEY=$(./dragoman keys create ci)
    """
    body = {"name": name, **{k: value for k, value in fields.items() if value is not None}}
    given = {"requests_per_minute": requests_per_minute, "tokens_per_day": tokens_per_day}
    if limits := {k: value for k, value in given.items() if value is not None}:
        body["limits"] = limits
    made = session.api.send("POST", routes.KEYS, body)
    if session.out.as_json:
        session.out.document(made)
        return
    session.out.say(
        f"{made['id']}: {made['role']} key of {made['owner']}, {_state(made)}. Keep it now: it is "
        "not shown again."
    )
    click.echo(made["key"])
    sys.stdout.flush()


@group.command("revoke")
@click.argument("key_id", shell_complete=completing.key_ids)
@click.option("--yes", is_flag=True, help="Do not ask.")
@calls
def revoke(session: Session, key_id: str, yes: bool) -> None:
    """End a key at once. Its owner's jobs stay. For admins."""
    path = routes.key(key_id)
    key = session.api.get(path)
    who = f"{key['name']!r} of {key['owner']}, last used {wording.ago(key['last_used_at'])}"
    session.confirm(f"Revoke {key['id']} ({who})?", yes=yes)
    session.api.call("DELETE", path)
    if session.out.as_json:
        session.out.document(session.api.get(path))
    else:
        session.out.say(f"Revoked {key['id']}.")


@group.command("me")
@calls
def me(session: Session) -> None:
    """Show whose key this is that the command uses, and what it may do."""
    caller = session.api.get("/v1/me")
    if session.out.as_json:
        session.out.document(caller)
        return
    session.out.facts(
        (
            ("server", session.server.url),
            ("key", caller["key_id"]),
            ("name", caller["name"]),
            ("owner", caller["owner"]),
            ("role", caller["role"]),
            ("limits", _limits(caller)),
            ("expires", wording.clock(caller["expires_at"])),
        )
    )
