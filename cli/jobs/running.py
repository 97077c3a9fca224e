"""One run of `jobs submit`, from its start to its end or its interruption."""

from __future__ import annotations

import asyncio
import shlex
import signal
from contextlib import suppress
from typing import Final

from cli import wording
from cli.exits import Exit
from cli.failures import Failure, Refused, Stopped
from cli.jobs.lines import Input
from cli.jobs.progress import Progress
from cli.jobs.results import Results
from cli.jobs.sending import Sending
from cli.session import Session

MOST_TOLD: Final = 5


class SomeRefused(Failure):
    """The server did not take some lines; they are no results, and are tried by the next run."""


async def run_to_end(
    session: Session, chats: Input, results: Results, *, total: int, at_once: int
) -> None:
    """Send what has no result yet; raises Failure, Stopped where a signal ended it."""
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
    except Refused as refused:
        if refused.exit is Exit.NOT_ALLOWED:
            raise
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


def _refusals(refused: list[tuple[int, Refused]]) -> str:
    told = [
        f"  line {number}: {wording.one_line(why)} ({why.particulars})"
        for number, why in sorted(refused, key=lambda told: told[0])[:MOST_TOLD]
    ]
    if len(refused) > MOST_TOLD:
        told.append(f"  and {len(refused) - MOST_TOLD} more")
    return (
        f"Expected every line to be taken, got {len(refused):,} refusals. They have no result; the "
        "same command tries them again:\n" + "\n".join(told)
    )
