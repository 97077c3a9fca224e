"""Testing values step by step, and looking at a provider's models now."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import click

from cli import completing, routes, wording
from cli.failures import JobFailed
from cli.output import Output
from cli.providers import fields
from cli.providers.group import group
from cli.providers.showing import MODELS
from cli.routes import LONGEST_WAIT, Document
from cli.session import Session, calls

SIGNS: Final = {"ok": ("✓", "green"), "failed": ("✗", "red"), "skipped": ("-", "dim")}
REFRESH_SECONDS: Final = 30


@group.command("test")
@click.argument("provider", required=False, shell_complete=completing.provider_slugs)
@fields.key_options
@fields.field_options
@click.option("--chat", is_flag=True, help="Also send one short chat, which costs a few tokens.")
@click.option("--chat-model", "model", metavar="ID", help="The server's own id, for that chat.")
@calls
def test(
    session: Session, provider: str | None, api_key_file: str | None, no_key: bool, **given: Any
) -> None:
    """Test a provider step by step, or values before they are saved. For admins.

    Options stand for what is not saved; what is not given is taken from PROVIDER.
    """
    if provider is None and given["endpoint"] is None:
        raise click.UsageError("Expected a PROVIDER or --endpoint, got neither.")
    body = fields.body_of(given) | fields.key_field(session, api_key_file, no_key=no_key)
    if provider is not None:
        body["provider"] = provider
    check = run_check(session, body)
    if session.out.as_json:
        session.out.document(check)
    failed = [step["name"] for step in check["steps"] if step["verdict"] == "failed"]
    if failed:
        raise JobFailed(f"Expected every step to succeed, got a failure of {', '.join(failed)}.")


def run_check(session: Session, body: Mapping[str, Any]) -> Document:
    """The check of these values when it is done; tells each step as it comes."""
    headers = {"Prefer": "respond-async"}
    check = session.api.send("POST", f"{routes.PROVIDERS}/test", body, headers=headers)
    told = 0
    while True:
        if not session.out.as_json:
            for step in check["steps"][told:]:
                _tell(session.out, step)
        told = len(check["steps"])
        if check["status"] == "done":
            break
        check = session.api.get(f"{routes.PROVIDERS}/checks/{check['id']}", wait=1)
    if not session.out.as_json and check["models"]:
        session.out.say(f"Models: {_some([model['id'] for model in check['models']])}")
    return check


def _tell(out: Output, step: Mapping[str, Any]) -> None:
    sign, style = SIGNS[step["verdict"]]
    took = "" if step["ms"] is None else f" ({step['ms']} ms)"
    out.say(f"{sign} {step['name']:<12} {wording.one_line(step['message'])}{took}", style=style)
    if step["remedy"]:
        out.say(f"  {' ' * 12} {wording.one_line(step['remedy'])}")


@group.command("refresh")
@click.argument("provider", shell_complete=completing.provider_slugs)
@click.option(
    "--wait",
    type=click.IntRange(0, LONGEST_WAIT),
    default=REFRESH_SECONDS,
    show_default=True,
    metavar="S",
    help="Seconds to wait for the list; 0: only ask for it.",
)
@calls
def refresh(session: Session, provider: str, wait: int) -> None:
    """Look at a provider's models now."""
    found = session.api.send("POST", routes.provider(provider, "/refresh"), wait=wait)
    if found["object"] == "provider":  # 202: the check goes on without us
        if session.out.as_json:
            session.out.document(found)
        else:
            session.out.say("The check will begin, or has begun.")
        return
    if session.out.as_json:
        session.out.document(found)
    else:
        session.out.entries(found["data"], MODELS, empty="It lists no model.")
    discovery = found["provider"]["discovery"]
    if discovery["error"]:
        raise JobFailed(
            f"{discovery['status']}: {discovery['error']['message']} What was listed last stays "
            "in force."
        )


def discovered(session: Session, provider: Document, seconds: int) -> Document:
    """The provider after the first look at it, which is told; as it was where that takes long."""
    slug = provider["slug"]
    found = session.api.send("POST", routes.provider(slug, "/refresh"), wait=seconds)
    if found["object"] == "provider":
        session.out.say("Its models are being looked for; `./dragoman models` will list them.")
        return found
    discovery, names = found["provider"]["discovery"], [row["id"] for row in found["data"]]
    if discovery["error"]:
        session.out.say(
            f"{discovery['status']}: {discovery['error']['message']} It is looked at again "
            f"{wording.ago(discovery['next_check_at'])}.",
            style="yellow",
        )
    elif names:
        session.out.say(f"{wording.several(len(names), 'model')}: {_some(names)}")
    else:
        session.out.say(f"It lists no models. Chats may name any: {slug}/MODEL.")
    return dict(found["provider"])


def _some(names: list[str]) -> str:
    shown = ", ".join(names[:5])
    return f"{shown} and {len(names) - 5} more" if len(names) > 5 else shown
