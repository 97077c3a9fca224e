"""A runner in a process of its own, for a test to kill: guarded.py FOLDER [hard].

`hard` adds processes that do not end by SIGTERM, which take the watchdog 2 s.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from deploy.guard import Guard
from deploy.runner import Runner
from tests.integration.stage import dummy


async def main(folder: Path, how: str = "") -> None:
    guard = Guard(folder / "watchdog.lock", print)
    await guard.start()
    file = folder / "events"
    programs = [dummy("a", file), dummy("b", file)]
    if how == "hard":
        programs += [dummy("c", file, "stubborn"), dummy("d", file, "parent")]
    await Runner(programs, guard, lambda name, *lines, level="INFO": None).start()
    print("ready", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), *sys.argv[2:]))
