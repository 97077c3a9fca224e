"""`jobs submit`: a file of chats, and a file of their results."""

from __future__ import annotations

import asyncio
import shlex
import signal
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import click

from cli import completing, wording
from cli.api import CHAT
from cli.exits import Exit
from cli.failures import Failure, JobFailed
from cli.jobs.group import group
from cli.jobs.lines import Input
from cli.jobs.results import Results
from cli.jobs.showing import pairs
from cli.session import Session, calls

AT_ONCE: Final = 100
MOST_AT_ONCE: Final = 1_000
MOST_TOLD: Final = 5


class Stopped(Failure):
    """Somebody ended the run; its jobs go on."""

    exit = Exit.INTERRUPTED


class SomeRefused(Failure):
    """The server did not take some lines; they are no results, and are tried by the next run."""


@group.command("submit")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--output",
    "-o",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where results go. Default: FILE.results.jsonl beside it.",
)
@click.option(
    "--model",
    "-m",
    metavar="ID",
    shell_complete=completing.model_ids,
    help="For lines that name none.",
)
@click.option("--metadata", multiple=True, metavar="KEY=VALUE", help="Given to every job.")
@click.option(
    "--at-once",
    type=click.IntRange(1, MOST_AT_ONCE),
    default=AT_ONCE,
    show_default=True,
    metavar="N",
    help="Jobs that are unfinished at once, at most.",
)
@click.option(
    "--run", metavar="NAME", default="", help="Another name makes other jobs of the lines."
)
@calls
def submit(
    session: Session,
    file: Path,
    output: Path | None,
    model: str | None,
    metadata: tuple[str, ...],
    at_once: int,
    run: str,
) -> None:
    """Send every line of FILE as a job, and write the results as they come.

    A line is OpenAI's chat body, or a line of its batches: {"custom_id": …, "body": …}. Each line
    is sent once, however often this is repeated: Ctrl-C leaves the jobs running, and the same
    command goes on. A result is a line with `line`, `custom_id`, `job_id`, `status`, and
    `completion` or `error`, in the order in which the jobs end.
    """
    chats = Input(file, model, pairs(metadata) or None, run)
    total = chats.check()
    session.api.get(CHAT, limit=1)  # a wrong key or address is told at once, not line by line
    target = output or file.with_suffix(".results.jsonl")
    with Results(target) as results:
        if results:
            session.out.status(f"{len(results):,} of {total:,} results are in {target} already.")
        asyncio.run(_run(session, chats, results, total=total, at_once=at_once))
        if session.out.as_json:
            session.out.document(
                {
                    "object": "submission",
                    "file": str(file),
                    "results": str(target),
                    "lines": total,
                    "statuses": dict(results.statuses),
                }
            )
        counts = ", ".join(f"{n:,} {status}" for status, n in sorted(results.statuses.items()))
        session.out.say(
            f"{len(results):,} of {total:,} results are in {target}: {counts or 'none'}."
        )
        if failed := len(results) - results.statuses["completed"]:
            raise JobFailed(f"Expected every job to complete, got {failed:,} that did not.")


async def _run(
    session: Session, chats: Input, results: Results, *, total: int, at_once: int
) -> None:
    """Send what has no result yet; raises Failure, Stopped where a signal ended it."""
    from cli.jobs.progress import Progress
    from cli.jobs.sending import Sending

    sending = Sending(session, chats, results)
    progress = Progress(session, sending, results, total)
    work = asyncio.create_task(sending.run(min(at_once, max(total - len(results), 1))))
    showing = asyncio.create_task(progress.show())
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, work.cancel)
    try:
        await work
    except asyncio.CancelledError:
        raise Stopped(_how_to_resume(session, results, total)) from None
    finally:
        showing.cancel()
        with suppress(asyncio.CancelledError):
            await showing
    if sending.refused:
        raise SomeRefused(_refusals(sending.refused))


def _how_to_resume(session: Session, results: Results, total: int) -> str:
    again = shlex.join(["./dragoman", *session.app.arguments])
    return (
        f"Stopped: {len(results):,} of {total:,} results are in {results.path}. Jobs that were "
        f"submitted go on by themselves. To go on and collect them: {again}"
    )


def _refusals(refused: list[tuple[int, Any]]) -> str:
    told = [
        f"  line {number}: {wording.one_line(why)} ({why.particulars})"
        for number, why in refused[:MOST_TOLD]
    ]
    if len(refused) > MOST_TOLD:
        told.append(f"  and {len(refused) - MOST_TOLD} more")
    return (
        f"Expected every line to be taken, got {len(refused):,} refusals. They have no result; the "
        "same command tries them again:\n" + "\n".join(told)
    )
