"""`test`: the suite, the static checks and the campaigns, all from the repository's root."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NoReturn

from deploy.bootstrap import ROOT
from deploy.venv import Venv

LONGEST_FILE = 300
MIGRATIONS = "shared/store/migrations/versions"
SOURCES = ("shared", "services", "deploy", "tests", "benchmarks", "cli")
# Two cores and the waiting of a third; tests/side_by_side.py says what stays together.
SIDE_BY_SIDE = ("-n", "3", "--dist", "loadscope", "--no-loadscope-reorder")
BYTECODE = "PYTHONPYCACHEPREFIX"
# The checkers' modules, not their scripts: those hold the path where .venv was made.
_IMPORT_LINTER = "import sys; from importlinter.cli import lint_imports_command as c; sys.exit(c())"
CHECKS = {
    "ruff check": ("-m", "ruff", "check", ".", "dragoman"),
    "ruff format": ("-m", "ruff", "format", "--check", ".", "dragoman"),
    "mypy": ("-m", "mypy"),
    "lint-imports": ("-c", _IMPORT_LINTER),
}


def become(module: str, *arguments: str) -> NoReturn:
    """Replace this process by a Python module, run from the root, with compiled modules kept."""
    os.chdir(ROOT)
    os.execve(
        sys.executable,
        [sys.executable, "-P", "-m", module, *arguments],
        with_bytecode(os.environ),
    )


def with_bytecode(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment in which Python keeps what it has compiled, outside of the tree.

    The suite starts some hundred processes: 0.8 s of CPU each, 3.6 s where all is compiled anew.
    """
    kept = {BYTECODE: str(Venv(ROOT).folder / "bytecode"), **environ}
    kept.pop("PYTHONDONTWRITEBYTECODE", None)
    return kept


def run_tests(arguments: Iterable[str]) -> NoReturn:
    """Run pytest, in three processes unless the arguments say otherwise (`-n 0`)."""
    become("pytest", *SIDE_BY_SIDE, *arguments)


def lint() -> int:
    """Run every check, whatever the one before said; 1 when any failed."""
    failed = []
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    for name, arguments in CHECKS.items():
        print(f"== {name}", flush=True)
        command = [sys.executable, *arguments]
        if subprocess.run(command, cwd=ROOT, env=environ, check=False).returncode:
            failed.append(name)
    print("== file length", flush=True)
    if too_long := list(long_files(ROOT)):
        print("\n".join(too_long))
        failed.append("file length")
    print(f"Failed: {', '.join(failed)}" if failed else "All static checks passed.", flush=True)
    return 1 if failed else 0


def long_files(root: Path) -> Iterable[str]:
    """A sentence for each Python file of ours with more than 300 lines."""
    files = [root / "dragoman", *(f for s in SOURCES for f in sorted((root / s).rglob("*.py")))]
    for file in files:
        if file.parent == root / MIGRATIONS:  # generated, and never changed again
            continue
        length = len(file.read_text(encoding="utf-8").splitlines())
        if length > LONGEST_FILE:
            yield f"{file.relative_to(root)}: {length} lines, at most {LONGEST_FILE} are allowed"
