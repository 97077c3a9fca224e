"""`events`: what happened to providers, as it happens with `--follow`."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import click

from cli import completing, routes, wording
from cli.exits import Exit
from cli.failures import Refused
from cli.output import Column
from cli.routes import LONGEST_WAIT, MOST_A_PAGE
from cli.session import Session, calls

ROUTE: Final = "/v1/events"
LATEST: Final = 20


def told(event: Mapping[str, Any]) -> str:
    """What an event's detail says, in words."""
    detail = event["detail"] or {}
    if "fields" in detail:
        return ", ".join(detail["fields"])
    if "from" in detail:
        return f"{detail['from']} → {detail['to']}"
    if "appeared_count" in detail:
        signs = (("+", detail["appeared"]), ("-", detail["vanished"]))
        named = [f"{sign}{model}" for sign, models in signs for model in models]
        more = detail["appeared_count"] + detail["vanished_count"] - len(named[:5])
        return " ".join(named[:5]) + (f" and {more} more" if more else "")
    return "the key was removed" if detail.get("removed") else ""


COLUMNS = (
    Column("SEQ", lambda e: e["seq"], right=True),
    Column("AT", lambda e: wording.clock(e["created_at"])),
    Column("EVENT", lambda e: e["type"]),
    Column("DETAIL", told),
)


class Slugs:
    """The slugs of providers, each asked for once; a deleted one has only its id."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._known: dict[str, str] = {}

    def of(self, event: Mapping[str, Any]) -> str:
        """The slug of the provider that an event tells of."""
        provider = str(event["provider"])
        if provider not in self._known:
            try:
                found = self._session.api.get(routes.provider(provider))["slug"]
            except Refused as refused:
                if refused.exit is not Exit.NOT_FOUND:
                    raise
                found = provider
            self._known[provider] = found
        return self._known[provider]


@click.command("events")
@click.option("--follow", "-f", is_flag=True, help="Go on with what happens, until Ctrl-C.")
@click.option("--after", type=int, metavar="SEQ", help="All behind this number.")
@click.option(
    "--limit", type=click.IntRange(0), metavar="N", help=f"The newest N. Default: {LATEST}."
)
@click.option("--type", "type_", metavar="TYPE", help="Only these, like models.changed.")
@click.option(
    "--provider",
    metavar="ID",
    shell_complete=completing.provider_slugs,
    help="Only of this provider.",
)
@calls
def command(
    session: Session,
    follow: bool,
    after: int | None,
    limit: int | None,
    type_: str | None,
    provider: str | None,
) -> None:
    """Show what happened to providers and their models. For admins.

    With --after and without --limit: everything behind that number.
    """
    wanted: dict[str, Any] = {"type": type_, "provider": provider}
    if limit is None and after is None:
        limit = LATEST
    newest: deque[Mapping[str, Any]] = deque(maxlen=limit)
    last = after or 0
    for page in _pages(session, last, wanted):
        newest.extend(page["data"])
        last = page["last_seq"]
    shown = [*COLUMNS[:-1], Column("PROVIDER", Slugs(session).of, whole=True), COLUMNS[-1]]
    session.out.entries(newest, shown, empty="Nothing has happened yet.")
    while follow:
        page = session.api.get(ROUTE, wait=LONGEST_WAIT, after=last, limit=MOST_A_PAGE, **wanted)
        last = page["last_seq"]
        for event in page["data"]:
            _tell(session, event, shown)


def _pages(session: Session, after: int, wanted: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    while True:
        page = session.api.get(ROUTE, after=after, limit=MOST_A_PAGE, **wanted)
        yield page
        after = page["last_seq"]
        if not page["has_more"]:
            return


def _tell(session: Session, event: Mapping[str, Any], shown: Sequence[Column]) -> None:
    if session.out.as_json:
        session.out.line(event)
    else:
        words = (wording.one_line(column.of(event)) for column in shown)
        session.out.text("  ".join(words).rstrip() + "\n")
