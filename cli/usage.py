"""`usage`: totals by provider, model, key, owner and day."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from cli import wording
from cli.output import Column
from cli.session import Session, calls

GROUPS = ("provider", "model", "key", "owner", "day")
SUMS = (
    Column("REQUESTS", lambda r: wording.count(r["requests"]), right=True),
    Column("FAILED", lambda r: wording.count(r["failures"]), right=True),
    Column("TOKENS IN", lambda r: wording.count(r["prompt_tokens"]), right=True),
    Column("TOKENS OUT", lambda r: wording.count(r["completion_tokens"]), right=True),
    Column("UNKNOWN", lambda r: wording.count(r["unknown_usage"]), right=True),
    Column("P50", lambda r: wording.duration(r["latency_seconds"]["p50"]), right=True),
    Column("P95", lambda r: wording.duration(r["latency_seconds"]["p95"]), right=True),
)


@click.command("usage")
@click.option(
    "--from",
    "since",
    type=wording.Moment(),
    metavar="TIME",
    help="A date, a time, or a span like 24h or 7d. Default: 30 days ago.",
)
@click.option("--to", "until", type=wording.Moment(), metavar="TIME", help="Default: now.")
@click.option(
    "--group-by",
    metavar="GROUPS",
    default="provider",
    show_default=True,
    help=f"Some of {', '.join(GROUPS)}, between commas.",
)
@calls
def command(session: Session, since: int | None, until: int | None, group_by: str) -> None:
    """Show requests, failures, tokens and latencies.

    An admin sees everybody's, others their own. UNKNOWN counts the requests whose provider did
    not report its tokens.
    """
    query: dict[str, Any] = {"from": since, "to": until, "group_by": group_by}
    found = session.api.get("/v1/usage", **query)
    if session.out.as_json:
        session.out.document(found)
        return
    groups = [_group(name) for name in found["group_by"]]
    total = {**found["total"], **dict.fromkeys(found["group_by"], "")}
    if groups:
        total[found["group_by"][0]] = "total"
    session.out.status(f"{wording.clock(found['from'])} to {wording.clock(found['to'])}")
    session.out.table([*found["data"], total], [*groups, *SUMS])


def _group(name: str) -> Column:
    def shown(row: Mapping[str, Any]) -> object:
        value = row[name]
        if isinstance(value, Mapping):  # what was deleted has only its id left
            return value.get("slug") or value.get("name") or value["id"]
        return value

    return Column(name.upper(), shown)
