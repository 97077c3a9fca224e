"""The options that become a provider's fields, and where its key comes from.

A key is never an argument: it would stay in the shell's history, and every user of the machine
could read it in the list of processes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import click

from cli.connection import key_of
from cli.session import Session

REFUSED: Final = (
    "--api-key is refused: a key on the command line stays in the shell's history, and others can "
    "read it in the list of processes. Leave it out to be asked for it, or give --api-key-file "
    "FILE, with - for standard input."
)
OPTIONS: Final = ("max_concurrency", "total_timeout", "verify_tls", "ca_certificate", "models")


def _refuse(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    if value is not None and not context.resilient_parsing:
        raise click.UsageError(REFUSED)


def key_options(command: Callable[..., None]) -> Callable[..., None]:
    """The ways to hand over a provider's key, and the one that is refused."""
    for option in (
        click.option("--no-key", is_flag=True, help="It needs no key (`edit`: remove the key)."),
        click.option(
            "--api-key-file", metavar="FILE", help="A file with the provider's key; - for stdin."
        ),
        click.option("--api-key", hidden=True, expose_value=False, callback=_refuse),
    ):
        command = option(command)
    return command


def field_options(command: Callable[..., None]) -> Callable[..., None]:
    """Everything else that a provider may be given."""
    for option in (
        click.option("--ca-certificate", metavar="FILE", help="PEM of the authorities to trust."),
        click.option("--verify-tls/--no-verify-tls", default=None, help="Check its certificate."),
        click.option("--total-timeout", type=float, metavar="S", help="Longest call, in seconds."),
        click.option(
            "--max-concurrency", type=int, metavar="N", help="Calls at once; 0: no limit."
        ),
        click.option("--model", "models", multiple=True, metavar="ID", help="List it by hand."),
        click.option(
            "--allow-model", "allow_models", multiple=True, metavar="GLOB", help="Offer only these."
        ),
        click.option("--visibility", metavar="WHO", help="everyone, admins, or owners: ann,ben."),
        click.option("--tag", "tags", multiple=True, metavar="TAG", help="May be repeated."),
        click.option("--description", metavar="TEXT"),
        click.option("--endpoint", metavar="URL", help="Any spelling: host:port, base, chat URL."),
    ):
        command = option(command)
    return command


def body_of(given: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a request from the options of a command; what was not given is left out."""
    body: dict[str, Any] = {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in given.items()
        if value not in (None, ())
    }
    options = {name: body.pop(name) for name in (*OPTIONS, "allow_models") if name in body}
    if options.get("max_concurrency") == 0:
        options["max_concurrency"] = None
    if "ca_certificate" in options:
        options["ca_certificate"] = _text_of(options["ca_certificate"])
    if options:
        body["options"] = options
    if body.get("visibility") not in (None, "everyone", "admins"):
        body["visibility"] = [owner.strip() for owner in body["visibility"].split(",")]
    return body


def key_field(session: Session, api_key_file: str | None, *, no_key: bool) -> dict[str, Any]:
    """`api_key` as the options say, or nothing; raises UsageError."""
    if no_key and api_key_file is not None:
        raise click.UsageError("Expected --api-key-file or --no-key, got both.")
    if no_key:
        return {"api_key": None}
    if api_key_file is None:
        return {}
    return {"api_key": _foreign(session, key_of(api_key_file, "--api-key-file"))}


def ask_key(session: Session, question: str) -> dict[str, Any]:
    """`api_key` as somebody types it, unseen; an empty answer stands for no key."""
    typed = click.prompt(question, default="", hide_input=True, show_default=False, err=True)
    return {"api_key": _foreign(session, typed.strip()) if typed.strip() else None}


def _foreign(session: Session, key: str) -> str:
    if key == session.server.key:
        raise click.UsageError(
            "Expected the inference server's key, got the one by which this command calls "
            "Dragoman: it would be sent to that server."
        )
    return key


def _text_of(file: str) -> str:
    try:
        return Path(file).expanduser().read_text("utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        raise click.UsageError(f"--ca-certificate: {file} cannot be read: {problem}.") from problem
