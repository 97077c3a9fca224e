"""What is measured side by side: each a way from a client to the same upstream."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks import load, processes
from tests.postgres import PostgresServer
from tests.simulators import Remote
from tests.system import System

DIRECT: Final = "direct"
SQLITE: Final = "Dragoman"
POSTGRES: Final = "Dragoman on PostgreSQL"
LITELLM: Final = "LiteLLM"
LITELLM_2: Final = "LiteLLM, 2 workers"
CELERY: Final = "Celery"


@dataclass(frozen=True, slots=True)
class Side:
    """One way to the upstream; `roots` are the pids below which all of its processes are.

    `command` is how it was started, for the report.
    """

    name: str
    command: str
    url: str
    model: str
    key: str | None
    roots: Callable[[], Sequence[int]]

    def chat(self, *, sim: Mapping[str, Any] | None = None, **fields: Any) -> load.Call:
        """A chat by this way."""
        return load.chat(self.url, self.key, self.model, sim=sim, **fields)

    def cpu_seconds(self) -> float:
        """CPU seconds of all its processes so far."""
        return processes.cpu_seconds(self.roots())

    def memory_mb(self) -> float:
        """Their memory now, in MB of proportional set size."""
        return processes.memory_mb(self.roots())


def direct(upstream: Remote) -> Side:
    """The upstream itself."""
    command = "python -m tests.simulators counting"
    return Side(DIRECT, command, upstream.url, "sim-model", None, lambda: (upstream.pid,))


def of_system(name: str, system: System, upstream: Remote, *beside: int) -> Side:
    """A running Dragoman, with the upstream registered; `beside` are its database's pids."""
    provider = system.api.add_provider("bench", upstream.url)
    system.api.discovered(provider["id"], "ok", 10)
    model = f"{provider['slug']}/sim-model"
    settings = [f"{k}={v}" for k, v in system.env.items() if k != "DATABASE_URL"]
    command = " ".join([*settings, "./dragoman up"])
    roots = (system.runner_pid, *beside)
    return Side(name, command, system.url, model, system.admin_key, lambda: roots)


@contextmanager
def dragoman(
    folder: Path,
    upstream: Remote,
    *,
    postgres: bool = False,
    settings: Mapping[str, str] | None = None,
) -> Iterator[tuple[System, Side]]:
    """`./dragoman up` with its default settings; `settings` are what differs from them."""
    with database(postgres=postgres) as (where, beside):
        name = POSTGRES if postgres else SQLITE
        data_dir = folder / name.replace(" ", "-")
        system = System(data_dir, env={**(settings or {}), **where})
        try:  # around the start, too: it is the longest moment in which we may be told to end
            system.start()
            yield system, of_system(name, system, upstream, *beside)
        finally:
            system.stop()


@contextmanager
def database(*, postgres: bool) -> Iterator[tuple[dict[str, str], Sequence[int]]]:
    """The settings that name a new database, and its server's pids: none for SQLite.

    PostgreSQL is a cluster of its own that flushes each commit; raises PostgresMissing.
    """
    if not postgres:
        yield {}, ()
        return
    server = PostgresServer(durable=True)
    try:
        server.create()
        pid = int((server.data / "postmaster.pid").read_text().splitlines()[0])
        yield {"DATABASE_URL": server.fresh_database()}, (pid,)
    finally:
        server.remove()
