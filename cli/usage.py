"""`usage`: totals by provider, model, key, owner and day."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
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
    groups = [_group(name, found["data"]) for name in found["group_by"]]
    total = {**found["total"], **dict.fromkeys(found["group_by"], "")}
    if groups:
        total[found["group_by"][0]] = "total"
    session.out.status(f"{wording.clock(found['from'])} to {wording.clock(found['to'])}")
    session.out.table([*found["data"], total], [*groups, *SUMS])


def _group(name: str, rows: Sequence[Mapping[str, Any]]) -> Column:
    """What `name` groups by; a deleted provider may have had a living one's name: both get ids."""
    ids = defaultdict(set)
    for row in rows:
        if isinstance(row[name], Mapping):
            ids[_called(row[name])].add(row[name]["id"])

    def shown(row: Mapping[str, Any]) -> object:
        value = row[name]
        if not isinstance(value, Mapping):
            return value
        called = _called(value)
        return called if len(ids[called]) == 1 else f"{called} ({value['id']})"

    return Column(name.upper(), shown)


def _called(named: Mapping[str, str]) -> str:
    """The name of a provider or key; what is not known any more has only its id left."""
    return named.get("slug") or named.get("name") or named["id"]
