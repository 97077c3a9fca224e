"""What Dragoman is measured beside, and Dragoman's own packages alone, each in its environment.

They are made in `.benchmark/` from hashed locks when first needed, and again when a lock changes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from tests.clients.installed import ROOT, ensure, install_python

FOLDER: Final = ROOT / ".benchmark"
INSTALL_SECONDS: Final = 900.0


def litellm_python() -> Path:
    """The Python of LiteLLM's environment; raises ClientsMissing when it cannot be installed.

    Its modules are compiled while it is installed, as in LiteLLM's own image.
    """
    return _environment("litellm", "benchmark", "--compile-bytecode") / "bin" / "python"


def dragoman_folder() -> Path:
    """An environment with what Dragoman needs to run and nothing else."""
    return _environment("dragoman", "run")


def installed_mb(environment: Path) -> float:
    """MB (10^6 bytes) of an environment's files, each counted once."""
    files = {}
    for path in environment.rglob("*"):
        if path.is_file() and not path.is_symlink():
            facts = path.stat()
            files[facts.st_dev, facts.st_ino] = facts.st_size
    return sum(files.values()) / 1e6


def _environment(name: str, group: str, *options: str) -> Path:
    FOLDER.mkdir(exist_ok=True)
    lock = ROOT / "requirements" / f"{group}.lock"

    def install(folder: Path) -> None:
        install_python(folder, lock, *options, seconds=INSTALL_SECONDS)

    ensure(FOLDER / name, lock, install)
    return FOLDER / name
