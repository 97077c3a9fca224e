"""`models`: what all providers offer."""

from __future__ import annotations

import click

from cli import completing, wording
from cli.output import Column
from cli.routes import MODELS
from cli.session import Session, calls

COLUMNS = (
    Column("MODEL", lambda m: m["id"], whole=True),
    Column("CONTEXT", lambda m: wording.count(m["context_length"]), right=True),
    Column("PROVIDER", lambda m: m["provider"]["name"]),
    Column("STATE", lambda m: m["provider"]["status"], state=True),
)


@click.command("models")
@click.argument("text", required=False)
@click.option(
    "--provider",
    metavar="ID",
    shell_complete=completing.provider_slugs,
    help="Only those of this provider.",
)
@click.option("--tag", metavar="TAG", help="Only those of providers with this tag.")
@calls
def command(session: Session, text: str | None, provider: str | None, tag: str | None) -> None:
    """List the models of all providers, or those whose id holds TEXT."""
    listed = session.api.get(MODELS, provider=provider, tag=tag)["data"]
    wanted = (text or "").casefold()
    session.out.entries(
        (model for model in listed if wanted in model["id"].casefold()),
        COLUMNS,
        empty="No model fits. `./dragoman providers list` shows what the providers' lists say.",
    )
