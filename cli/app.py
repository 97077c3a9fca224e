"""The commands, and what their ends are as exit statuses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

import click

from cli import audit, chat, completion, events, jobs, keys, models, providers, usage, wording
from cli.exits import Exit
from cli.failures import Declined, Failure, Refused, Stopped
from cli.session import App

if TYPE_CHECKING:
    import httpx

PROGRAM: Final = "dragoman"
LONGEST_RETRY_AFTER: Final = 120  # seconds that the header tells (API.md section 2)
# What the launcher does itself, without this package; here so that shells complete it.
ELSEWHERE: Final = (
    "up",
    "demo",
    "ps",
    "migrate",
    "config",
    "backup",
    "simulate",
    "test",
    "benchmark",
)


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    help="Commands that talk to a running Dragoman.",
)
def root() -> None:
    """All commands."""


for _command in (
    providers.group,
    models.command,
    chat.command,
    jobs.group,
    keys.group,
    usage.command,
    events.command,
    audit.command,
    completion.group,
):
    root.add_command(_command)


def _elsewhere(name: str) -> click.Command:
    def tell() -> None:
        raise click.UsageError(
            f"Expected `./dragoman {name}`, which is no command of `python -m cli`."
        )

    text = f"See `./dragoman {name} --help`."
    return click.Command(name.split()[-1], callback=tell, help=text, add_help_option=False)


for _name in ELSEWHERE:
    root.add_command(_elsewhere(_name))
keys.group.add_command(_elsewhere("keys rotate-master"))


def main(
    arguments: Sequence[str],
    environ: Mapping[str, str],
    *,
    transport: httpx.MockTransport | None = None,
) -> Exit:
    """Run one command; how it ended. Failures are told on standard error."""
    app = App(environ, tuple(arguments), transport)
    try:
        root.main(list(arguments), PROGRAM, standalone_mode=False, obj=app)
    except click.ClickException as problem:
        problem.show()
        return Exit.USAGE if problem.exit_code == Exit.USAGE else Exit.FAILED
    except Failure as failure:
        tell(failure)
        return failure.exit
    except (click.Abort, KeyboardInterrupt):
        click.echo(err=True)  # behind the ^C
        return Exit.INTERRUPTED
    except BrokenPipeError:
        return Exit.CLOSED_PIPE
    except OSError as problem:
        click.secho(f"Error: {problem}", err=True, fg="red")
        return Exit.FAILED
    return Exit.OK


def tell(failure: Failure) -> None:
    """Show why a command failed; of a refusal also where, its code and the request."""
    if not isinstance(failure, Declined | Stopped):
        click.secho("Error: ", err=True, fg="red", nl=False)
    click.echo(wording.safe(failure), err=True)
    if isinstance(failure, Refused) and failure.particulars:
        click.secho(f"  ({wording.safe(failure.particulars)})", err=True, dim=True)
    # The header tells no more than its bound; the message says how long it really is.
    if isinstance(failure, Refused) and 0 < (failure.retry_after or 0) < LONGEST_RETRY_AFTER:
        click.echo(f"  Try again in {failure.retry_after:.0f} s.", err=True)
