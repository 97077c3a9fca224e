"""`audit`: who did what, newest first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import click

from cli import wording
from cli.output import Column
from cli.session import Session, calls

ROUTE: Final = "/v1/audit"


def _detail(entry: Mapping[str, Any]) -> str:
    detail = entry["detail"] or {}
    return ", ".join(
        f"{name}: {_told(value)}" for name, value in detail.items() if value not in (None, "", [])
    )


def _told(value: object) -> object:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return " ".join(map(str, value)) if isinstance(value, list) else value


COLUMNS = (
    Column("AT", lambda e: wording.clock(e["at"])),
    Column("ACTOR", lambda e: e["actor"]["name"] or e["actor"]["owner"] or "-"),
    Column("ACTION", lambda e: e["action"]),
    Column("SUBJECT", lambda e: e["subject"] or "-"),
    Column("DETAIL", _detail),
    Column("FROM", lambda e: e["address"] or "-"),
    Column("REQUEST", lambda e: e["request_id"] or "-"),
)


@click.command("audit")
@click.option("--action", metavar="ACTION", help="Only these, like provider.update.")
@click.option("--actor", metavar="KEY", help="Only what this key did.")
@click.option("--subject", metavar="ID", help="Only what was done to this.")
@click.option("--from", "since", type=wording.Moment(), metavar="TIME", help="A date, or 7d.")
@click.option("--to", "until", type=wording.Moment(), metavar="TIME", help="Default: now.")
@click.option("--limit", type=click.IntRange(1), metavar="N", default=20, show_default=True)
@calls
def command(
    session: Session, limit: int, since: int | None, until: int | None, **wanted: Any
) -> None:
    """Show who changed what: providers, keys, others' jobs, sign-ins. For admins."""
    query = {**wanted, "from": since, "to": until}
    found = session.api.pages(ROUTE, most=limit, **query)
    session.out.entries(found, COLUMNS, empty="Nothing of that kind was done.")
