"""What a command works with: the server and the output, made of its options when it runs."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import click

from cli import connection
from cli.connection import Server
from cli.failures import Declined, Unreachable
from cli.output import Output

if TYPE_CHECKING:
    import httpx

    from cli.api import Api


@dataclass(frozen=True, slots=True)
class App:
    """What the process was started with. `transport` stands in for the network, in tests."""

    environ: Mapping[str, str] = field(default_factory=dict)
    arguments: Sequence[str] = ()
    transport: httpx.MockTransport | None = None

    @contextmanager
    def session(self, params: Mapping[str, Any]) -> Iterator[Session]:
        """A session by these parameters of a command."""
        from cli.api import Api

        wanted = {name: params.get(name) for name in ("url", "key_file", "data_dir")}
        server = connection.find(self.environ, **wanted)
        with Api(server, self.transport) as api:
            yield Session(api, Output(as_json=bool(params.get("as_json"))), self)


@dataclass(frozen=True, slots=True)
class Session:
    """One run of a command."""

    api: Api
    out: Output
    app: App

    @property
    def server(self) -> Server:
        """The server it talks to."""
        return self.api.server

    @property
    def asks(self) -> bool:
        """Whether somebody is there to answer questions."""
        return sys.stdin.isatty() and sys.stderr.isatty() and not self.out.as_json

    def confirm(self, question: str, *, yes: bool, option: str = "--yes") -> None:
        """Go on only if the answer is yes; raises Declined, or UsageError where nobody is asked."""
        if yes:
            return
        if not self.asks:
            raise click.UsageError(f"Expected {option} where nobody can be asked: {question}")
        if not click.confirm(question, err=True):
            raise Declined("Nothing was done.")


def calls(command: Callable[..., None]) -> Callable[..., None]:
    """Make a command of a function whose first argument is a session."""

    @click.option(
        "--json", "as_json", is_flag=True, help="For programs: JSON; lists as JSON lines."
    )
    @click.option("--url", metavar="URL", help="The server (DRAGOMAN_URL).")
    @click.option(
        "--key-file", metavar="FILE", help="A file with your key of Dragoman (DRAGOMAN_API_KEY)."
    )
    @click.option("--data-dir", metavar="DIR", help="A local installation's (./.dragoman).")
    @click.pass_obj
    @functools.wraps(command)
    def run(
        app: App,
        /,
        *arguments: Any,
        as_json: bool,
        url: str | None,
        key_file: str | None,
        data_dir: str | None,
        **options: Any,
    ) -> None:
        params = {"as_json": as_json, "url": url, "key_file": key_file, "data_dir": data_dir}
        with app.session(params) as session:
            try:
                command(session, *arguments, **options)
            except KeyError as missing:
                if session.api.is_dragoman():  # then it is a defect of ours
                    raise
                raise Unreachable(
                    f"Expected Dragoman's documents of {session.api.server.url}, got one without "
                    f"{missing}, and no description of Dragoman. Check DRAGOMAN_URL."
                ) from missing

    return run
