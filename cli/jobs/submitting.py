"""`jobs submit`: a file of chats, and a file of their results."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

from cli import completing, wording
from cli.failures import JobFailed
from cli.jobs.group import group
from cli.jobs.lines import Input
from cli.jobs.showing import pairs
from cli.routes import CHAT
from cli.session import Session, calls

AT_ONCE: Final = 100
MOST_AT_ONCE: Final = 1_000
MOST_TOLD: Final = 5  # reasons


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
@click.option(
    "--retry-failed",
    is_flag=True,
    help="Other jobs for lines whose job did not complete; it may have been billed.",
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
    retry_failed: bool,
) -> None:
    """Send every line of FILE as a job, and write the results as they come.

    A line is OpenAI's chat body, or a line of its batches: {"custom_id": …, "body": …}. Each line
    is sent once, however often this is repeated: Ctrl-C leaves the jobs running, and the same
    command goes on. A result is a line with `line`, `custom_id`, `job_id`, `status`, and
    `completion` or `error`, in the order in which the jobs end.
    """
    import asyncio

    from cli.jobs.results import Results
    from cli.jobs.running import run_to_end

    chats = Input(file, model, pairs(metadata) or None, run)
    total = chats.check()
    session.api.get(CHAT, limit=1)  # a wrong key or address is told at once, not line by line
    target = output or file.with_suffix(".results.jsonl")
    with Results(target, retry=retry_failed) as results:
        if results or results.retried:
            again = f"; {results.retried:,} failed before, tried again now" * retry_failed
            session.out.status(
                f"{len(results):,} of {total:,} results are in {target} already{again}."
            )
        asyncio.run(run_to_end(session, chats, results, total=total, at_once=at_once))
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
            raise JobFailed(_why(failed, results.reasons()))


def _why(failed: int, reasons: list[tuple[str, int]]) -> str:
    told = [f"  {count:,}: {wording.one_line(why)}" for why, count in reasons[:MOST_TOLD]]
    if len(reasons) > MOST_TOLD:
        told.append(f"  and {len(reasons) - MOST_TOLD:,} other reasons")
    return "\n".join(
        (
            f"Expected every job to complete, got {failed:,} that did not. The same command with "
            "--retry-failed makes other jobs of their lines.",
            *told,
        )
    )
