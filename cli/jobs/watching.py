"""`jobs watch`: the state on standard error, the text on standard output, both as they come."""

from __future__ import annotations

import click

from cli import completing
from cli.failures import JobFailed
from cli.jobs.group import group
from cli.session import Session, calls


@group.command("watch")
@click.argument("job_id", shell_complete=completing.job_ids)
@click.option("--reasoning", is_flag=True, help="Show the model's reasoning, on standard error.")
@calls
def watch(session: Session, job_id: str, reasoning: bool) -> None:
    """Follow a job to its end: its state, and its text while it is written.

    With --json: the job as a line of JSON whenever it has changed. Ctrl-C only ends the watching.
    """
    import asyncio

    from cli.jobs.following import Following

    job = asyncio.run(Following(session, job_id, reasoning=reasoning).run())
    if job["status"] != "completed":
        error = job["error"] or {}
        raise JobFailed(f"The job is {job['status']}: {error.get('message', 'no reason is known')}")
