"""What Dragoman is measured beside, and Dragoman's own packages alone, each in its environment.

They are made in `.benchmark/` from hashed locks when first needed, and again when a lock changes.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from deploy.bytecode import compile_used
from deploy.venv import Venv
from tests.clients.installed import ROOT, ensure, install_python

FOLDER: Final = ROOT / ".benchmark"
INSTALL_SECONDS: Final = 900.0


def litellm_python() -> Path:
    """The Python of LiteLLM's environment; raises ClientsMissing when it cannot be installed.

    Its modules are compiled while it is installed, as in LiteLLM's own image.
    """
    folder = _environment(
        "litellm",
        "benchmark",
        lambda folder, lock: install_python(
            folder, lock, "--compile-bytecode", seconds=INSTALL_SECONDS
        ),
    )
    return folder / "bin" / "python"


def dragoman_folder() -> Path:
    """An environment with what Dragoman needs to run, as `./dragoman up` makes its own."""
    return _environment("dragoman", "run", _install_dragoman)


def installed_mb(environment: Path) -> float:
    """MB (10^6 bytes) of an environment's files, each counted once."""
    files = {}
    for path in environment.rglob("*"):
        if path.is_file() and not path.is_symlink():
            facts = path.stat()
            files[facts.st_dev, facts.st_ino] = facts.st_size
    return sum(files.values()) / 1e6


def _install_dragoman(folder: Path, lock: Path) -> None:
    install_python(folder, lock, seconds=INSTALL_SECONDS)
    venv = Venv(ROOT)
    venv.folder, venv.python = folder, folder / "bin" / "python"
    compile_used(venv)


def _environment(name: str, group: str, install: Callable[[Path, Path], None]) -> Path:
    FOLDER.mkdir(exist_ok=True)
    lock = ROOT / "requirements" / f"{group}.lock"
    ensure(FOLDER / name, lock, lambda folder: install(folder, lock))
    return FOLDER / name
