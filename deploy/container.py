"""The entry point of the container image.

    python -P -m deploy.container registry         one process of the table, by its name
    python -P -m deploy.container migrate …        what `./dragoman migrate …` does
    python -P -m deploy.container healthy [NAME]   for health checks: exit status 0 or 1

A service announces itself as it does to the local runner, here into a file. Health of a service
means that it has got so far; a registry must answer, too. That the others go on is watched from
inside: a worker that stands still ends itself, and is started again.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Mapping
from http.client import OK, HTTPConnection
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parent.parent
HEALTH_SECONDS = 2.0


def main(arguments: list[str], environ: Mapping[str, str]) -> int:
    """Answer `healthy` with an exit status, or become the service or the command."""
    name, *rest = arguments or ["--help"]
    if name != "healthy":
        _become([name, *rest], environ)
    asked = rest[0] if rest else _started_as()
    return 0 if asked is None or healthy(asked, environ) else 1


def _become(arguments: list[str], environ: Mapping[str, str]) -> NoReturn:
    from deploy.processes import PROCESSES
    from shared.config import READY_FD

    for process in PROCESSES:
        if process.name == arguments[0] and process.module is not None:
            descriptor = os.open(_ready_file(), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            os.set_inheritable(descriptor, True)
            _service_file().write_text(process.name, "utf-8")
            command = process.command()
            os.execve(command[0], command, {**environ, READY_FD: str(descriptor)})
    command = (sys.executable, str(ROOT / "dragoman"), *arguments)
    os.execve(command[0], command, dict(environ))


def healthy(name: str, environ: Mapping[str, str]) -> bool:
    """Whether the service of this container works."""
    try:
        if not _ready_file().stat().st_size:
            return False
    except OSError:
        return False
    if name != "registry":
        return True
    port = int(environ.get("DRAGOMAN_PORT") or 8642)
    host = environ.get("DRAGOMAN_HOST", "")
    there = host if host not in ("", "0.0.0.0") else "127.0.0.1"  # noqa: S104 - read, not bound
    connection = HTTPConnection(there, port, timeout=HEALTH_SECONDS)
    try:
        connection.request("GET", "/health/live")
        return connection.getresponse().status == OK
    except OSError:
        return False
    finally:
        connection.close()


def _started_as() -> str | None:
    """The service of this container; None where it runs a command."""
    try:
        return _service_file().read_text("utf-8")
    except FileNotFoundError:
        return None


def _ready_file() -> Path:
    return Path(tempfile.gettempdir()) / "dragoman-ready"


def _service_file() -> Path:
    return Path(tempfile.gettempdir()) / "dragoman-service"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
