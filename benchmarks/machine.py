"""On what a figure was measured: without it, it means nothing."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from importlib.metadata import version
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[1]
PACKAGES = ("celery", "redis", "flask", "gevent", "gunicorn", "httptools", "sqlalchemy")


def description(*, litellm: bool = False) -> list[str]:
    """Lines that name processor, memory, system, Python, packages and commit."""
    memory = psutil.virtual_memory().total / 2**30
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    if litellm:
        packages += f", litellm {_litellm_version()}"
    return [
        f"machine: {_processor()}, {os.cpu_count()} cores, {memory:.0f} GiB, {platform.platform()}",
        f"Python {platform.python_version()}; {packages}",
        f"Dragoman at {_commit()}",
    ]


def _litellm_version() -> str:
    lock = (ROOT / "requirements" / "benchmark.lock").read_text(encoding="utf-8")
    (found,) = re.findall(r"^litellm==(\S+)", lock, re.MULTILINE)
    return str(found)


def _commit() -> str:
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "no commit that is known"
    return told.stdout.strip()


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
