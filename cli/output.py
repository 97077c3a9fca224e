"""What a command says: results to standard output, everything else to standard error."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import click

from cli import wording

if TYPE_CHECKING:
    from rich.table import Table

Document = Mapping[str, Any]
UNBOUNDED: Final = 10_000  # columns: what no terminal shows is not cut off for its sake


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table.

    `state`: its words are coloured; `right`: numbers; `whole`: ids to be copied, on one line.
    """

    title: str
    of: Callable[[Document], object]
    state: bool = False
    right: bool = False
    whole: bool = False


def _json(document: Document, **style: Any) -> str:
    return wording.escaped(json.dumps(document, ensure_ascii=False, **style))


class Output:
    """The two streams of one command; `as_json` when a program reads."""

    def __init__(self, *, as_json: bool = False) -> None:
        self.as_json = as_json
        self._mid_line = False

    @property
    def is_terminal(self) -> bool:
        """Whether a person reads the results as they come."""
        return sys.stdout.isatty()

    def document(self, document: Document) -> None:
        """A document as the API gave it."""
        click.echo(_json(document, indent=2))

    def line(self, document: Document) -> None:
        """A document on one line."""
        click.echo(_json(document, separators=(",", ":")))
        sys.stdout.flush()

    def entries(self, rows: Iterable[Document], columns: Sequence[Column], *, empty: str) -> None:
        """JSON lines as they come, or a table; `empty` is told where there is nothing."""
        if self.as_json:
            for row in rows:
                self.line(row)
            return
        shown = list(rows)
        if shown:
            self.table(shown, columns)
        else:
            self.say(empty)

    def table(self, rows: Iterable[Document], columns: Sequence[Column]) -> None:
        """A table, as wide as the terminal; into a pipe or file whole."""
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, pad_edge=False, header_style="bold")
        for column in columns:
            justify: Any = "right" if column.right else "left"
            table.add_column(
                column.title,
                justify=justify,
                overflow="fold",
                no_wrap=column.whole or column.state,
                min_width=len(column.title),
            )
        for row in rows:
            cells = [(column, wording.one_line(column.of(row))) for column in columns]
            table.add_row(
                *(
                    Text(cell, wording.style_of(cell) if column.state else "")
                    for column, cell in cells
                )
            )
        self._print(table)

    def facts(self, facts: Iterable[tuple[str, object]]) -> None:
        """Names and values, one a line; those without a value are left out."""
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, pad_edge=False, show_header=False)
        table.add_column(style="bold", no_wrap=True)
        table.add_column(overflow="fold")
        for name, value in facts:
            if value not in (None, "", "-"):
                text = wording.safe(value)
                known = name == "state" and text in wording.STYLES
                table.add_row(name, Text(text, wording.STYLES[text] if known else ""))
        self._print(table)

    def text(self, text: str) -> None:
        """A part of an answer: as it is into a pipe or file, without control on a terminal."""
        if text:
            self._mid_line = not text.endswith("\n")
            # Not click's echo, which would take colours out of what goes into a file.
            sys.stdout.write(wording.safe(text) if self.is_terminal else text)
            sys.stdout.flush()

    def end_line(self) -> None:
        """See that what follows begins on a line of its own."""
        if self._mid_line:
            click.echo()
            self._mid_line = False

    def say(self, text: str, *, style: str | None = None) -> None:
        """A message for a person, behind whatever was written before."""
        if self.is_terminal:
            self.end_line()
        colours: dict[str, Any] = {"dim": style == "dim", "fg": None if style == "dim" else style}
        click.secho(wording.safe(text), err=True, **colours)

    def status(self, text: str) -> None:
        """A message that only says how things stand."""
        self.say(text, style="dim")

    def _print(self, table: Table) -> None:
        """Print a table without the blanks that fill its lines up."""
        from rich.console import Console

        width = None if self.is_terminal else UNBOUNDED
        console = Console(file=sys.stdout, width=width, highlight=False)
        with console.capture() as printed:
            console.print(table)
        for line in printed.get().splitlines():
            click.echo(line.rstrip())
