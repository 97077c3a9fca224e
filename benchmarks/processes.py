"""CPU and memory of all processes of a side, from its roots down to the last child."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import psutil


def family(roots: Iterable[int]) -> Iterator[psutil.Process]:
    """The processes with these pids and all below them; those that have ended are left out."""
    for pid in roots:
        try:
            root = psutil.Process(pid)
            yield root
            yield from root.children(recursive=True)
        except psutil.NoSuchProcess:
            continue


def cpu_seconds(roots: Iterable[int]) -> float:
    """CPU seconds so far, of children too that have ended and were waited for."""
    total = 0.0
    for process in family(roots):
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system + times.children_user + times.children_system
    return total


def memory_mb(roots: Iterable[int]) -> float:
    """Proportional set size in MB (10^6 bytes): pages that n processes share count 1/n in each."""
    total = 0
    for process in family(roots):
        try:
            total += process.memory_full_info().pss
        except psutil.NoSuchProcess:
            continue
    return total / 1e6
