"""The release before this one, as far as there is one: the code of the schema before this one.

Taken from git's history, with the packages of today. Dragoman has no release yet; what comes
closest is the commit before the one that added the newest migration.
"""

from __future__ import annotations

import io
import subprocess
import tarfile
from pathlib import Path

from tests.compose_file import ROOT

MIGRATIONS = "shared/store/migrations/versions"
# What runs: as .dockerignore lists for the image.
CODE = ("dragoman", "pyproject.toml", "shared", "services", "deploy", "cli")


class NoReleaseBefore(Exception):
    """There is none here; the message says why."""


def release_before(folder: Path) -> Path:
    """Its code, laid out in `folder`; raises NoReleaseBefore."""
    newest = max(file.name for file in (ROOT / MIGRATIONS).glob("[0-9]*.py"))
    command = ("log", "--diff-filter=A", "--format=%H", "-1", "--", f"{MIGRATIONS}/{newest}")
    commit = _git(*command).decode().strip()
    if not commit:
        raise NoReleaseBefore(f"{newest} is not committed yet")
    packed = _git("archive", "--format=tar", f"{commit}^", *CODE)
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        archive.extractall(folder, filter="data")
    if (folder / MIGRATIONS / newest).exists():
        raise NoReleaseBefore(f"the history here does not reach behind {newest}")
    return folder


def _git(*words: str) -> bytes:
    try:
        done = subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, check=True)
    except FileNotFoundError:
        raise NoReleaseBefore("there is no git here") from None
    except subprocess.CalledProcessError as fault:
        said = fault.stderr.decode(errors="replace").strip()
        raise NoReleaseBefore(f"no history with it here: {said}") from None
    return done.stdout
