"""What `./dragoman` does first: see that .venv is complete, then become the real command.

Standard library only: it runs before anything is installed.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

from deploy.bytecode import compile_used
from deploy.client import CLIENT, is_for_client, is_typing
from deploy.venv import CannotStart, Venv, ensure, say
from shared import tracing

ROOT = Path(__file__).resolve().parent.parent
OURS = ("up", "demo", "ps", "migrate", "config", "backup", "simulate", "test", "benchmark")
COMMANDS = (*OURS, *CLIENT)
GROUPS = {
    "demo": ("run", "demo"),
    "test": ("run", "otel", "demo", "test"),
    "benchmark": ("run", "test"),
}
TRACED = ("up", "demo")  # what starts processes that may be asked for traces
# These say what there is to say without any package: no reason to install first.
NEED_NOTHING = ("-h", "--help", "--version")
MACHINES = ("x86_64", "amd64", "aarch64", "arm64")
OLDEST_MACOS = 13


def unsupported() -> str | None:
    """Why the embedded Valkey cannot run here, as a sentence; None where it can."""
    system, machine = platform.system(), platform.machine().lower()
    fits = machine in MACHINES
    if system == "Linux":
        fits = fits and platform.libc_ver()[0] == "glibc"
    elif system == "Darwin":
        fits = fits and int(platform.mac_ver()[0].split(".")[0] or 0) >= OLDEST_MACOS
    else:
        fits = False
    if fits:
        return None
    return (
        "Dragoman's embedded Valkey runs on Linux (glibc, x86_64 or arm64) and macOS 13 or newer, "
        f"and this is {system} on {machine}: set REDIS_URL to a Redis or Valkey of your own, "
        "or use WSL2 on Windows."
    )


def groups_of(command: str, environ: Mapping[str, str]) -> tuple[str, ...]:
    """The groups of packages that this command needs."""
    traced = command in TRACED and tracing.wanted(environ)
    return GROUPS.get(command, ("run",)) + (("otel",) if traced else ())


def main(arguments: list[str]) -> int:
    """Exit status where the command could not be started; does not return otherwise."""
    command = next((word for word in arguments if not word.startswith("-")), "")
    for_client = is_for_client(arguments)
    asks_nothing = not for_client and any(word in NEED_NOTHING for word in arguments[:2])
    if command not in COMMANDS or asks_nothing:
        from deploy.commands import main as run_command

        return run_command(arguments)
    venv, groups = Venv(ROOT), groups_of(command, os.environ)
    if is_typing(arguments) and venv.missing(groups):
        return 1
    try:
        sentence = unsupported()
        if sentence and not for_client and not os.environ.get("REDIS_URL"):
            raise CannotStart(sentence)
        installed = ensure(venv, groups, with_valkey=sentence is None)
        if installed and command != "test":  # the suite keeps its bytecode elsewhere
            compile_used(venv)
        return _become(venv, "cli" if for_client else "deploy", arguments)
    except CannotStart as problem:
        say(str(problem))
        return 1
    except PermissionError as problem:
        say(
            f"{problem.filename}: expected a file that this user may use, got: {problem.strerror}. "
            "Run this as the user who installed it, or from a clone that is this user's own."
        )
        return 1
    except KeyboardInterrupt:
        say("Stopped while installing; the next start goes on from here.")
        return 130


def _become(venv: Venv, package: str, arguments: list[str]) -> NoReturn:
    environ = {key: value for key, value in os.environ.items() if key != "PYTHONHOME"}
    environ["PYTHONPATH"] = str(ROOT)
    # -P: the caller's working directory is never a place to import from.
    os.execve(venv.python, [str(venv.python), "-P", "-m", package, *arguments], environ)
