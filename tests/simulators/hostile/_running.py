"""The hostile upstream as a process of its own, so that it shares no GIL with what it attacks."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

ROOT = Path(__file__).parents[3]


@dataclass(frozen=True, slots=True)
class HostileRemote:
    """Endpoints by behaviour, `apart` on a port for each; the CA (PEM) of those with TLS."""

    url: str
    endpoints: Mapping[str, str]
    apart: Mapping[str, str]
    ca_certificate: str


@contextmanager
def spawned_hostile() -> Iterator[HostileRemote]:
    """`python -m tests.simulators hostile` until the block ends; it also ends with us."""
    command = [sys.executable, "-m", "tests.simulators", "hostile", "--with-parent"]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline().decode().strip()
            assert line.startswith("listening on "), f"the simulator said {line!r}"
            url = line.removeprefix("listening on ")
            page = httpx.get(f"{url}/behaviours", trust_env=False).json()
            yield HostileRemote(url, **page)
        finally:
            process.terminate()
