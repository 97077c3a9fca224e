"""The memory of every process of one system, by role, and the size of its database."""

from __future__ import annotations

from typing import Final

import psutil

from tests.campaigns.soak_judge import MIB, Memory, Sample
from tests.system import System

RUNNER: Final = "up"
CHILDREN: Final = {RUNNER: "watchdog", "registry": "registry worker"}  # role → of what is below it


def sample(system: System, at: float) -> Sample:
    """All processes as they are now; those that end meanwhile are left out."""
    found: dict[str, Memory] = {}
    for role, process in _processes(system).items():
        try:
            info = process.memory_full_info()
        except psutil.NoSuchProcess:
            continue
        found[role] = Memory(process.pid, info.rss, getattr(info, "pss", 0))
    return Sample(at, found)


def _processes(system: System) -> dict[str, psutil.Process]:
    """Role → process: the runner, what it started by name, and their children by number."""
    named = system.pids()
    roots = {RUNNER: system.runner_pid, **named}
    found: dict[str, psutil.Process] = {}
    for role, pid in roots.items():
        try:
            process = psutil.Process(pid)
            below = process.children(recursive=role != RUNNER)
        except psutil.NoSuchProcess:
            continue
        found[role] = process
        others = sorted((one for one in below if one.pid not in named.values()), key=_age)
        found |= {f"{CHILDREN.get(role, role)} {n}": one for n, one in enumerate(others, 1)}
    return found


def _age(process: psutil.Process) -> tuple[float, int]:
    return process.create_time(), process.pid


def database_bytes(system: System) -> int:
    """The database's files, its log among them."""
    return sum(file.stat().st_size for file in system.data_dir.glob("dragoman.db*"))


def figures(one: Sample, system: System) -> str:
    """The resident sets of a sample and the database, in a line."""
    sizes = ", ".join(f"{role} {memory.rss / MIB:.1f}" for role, memory in one.processes.items())
    return f"RSS in MiB: {sizes}; database {database_bytes(system) / MIB:.1f} MiB"
