"""What Python compiles of the sources and packages, once, where something was installed.

uv installs packages without their bytecode. Left to the first start, all processes would compile
the same 1,200 modules at once: 13 s of CPU instead of 4; and at each start, where
PYTHONDONTWRITEBYTECODE is set. Standard library only.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from typing import Final

from deploy.venv import Venv, say

# What each process imports; two groups side by side, for two cores.
IMPORTED: Final[Sequence[tuple[str, ...]]] = (
    ("services.registry.main", "cli.__main__", "deploy.ps"),
    (
        *("services.chat_worker.__main__", "services.discovery_worker.__main__", "deploy.beat"),
        *("deploy.up", "deploy.roles", "shared.store.migrate"),
    ),
)


def compile_used(venv: Venv, groups: Sequence[tuple[str, ...]] = IMPORTED) -> bool:
    """Import what the processes import, so that its bytecode is kept; whether all of it went well.

    What is not compiled is compiled at each start: slower, and no reason not to go on.
    """
    say("Compiling …")
    environ = compiling(os.environ, venv)
    running = [
        subprocess.Popen(
            [str(venv.python), "-P", "-c", f"import {', '.join(modules)}"],
            env=environ,
            stdin=subprocess.DEVNULL,
        )
        for modules in groups
    ]
    done = [process.wait() == 0 for process in running]
    if not all(done):
        say("Something could not be imported, for the reason above: the start may fail.")
    return all(done)


def compiling(environ: Mapping[str, str], venv: Venv) -> dict[str, str]:
    """The environment in which Python keeps what it compiles."""
    kept = {key: text for key, text in environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    return kept | {"PYTHONPATH": str(venv.root)}
