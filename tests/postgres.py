"""A PostgreSQL cluster to throw away: made, started, stopped and removed by the tests."""

from __future__ import annotations

import itertools
import os
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import LiteralString

import psutil
import psycopg
from psycopg import sql

from tests.ports import free_port

START_SECONDS = 60.0
_SUPERUSER = "dragoman"
_LOG_PREFIX = "%n [%p] "  # seconds since 1970, and whose line it is
_READY = re.compile(r"^([\d.]+) .*database system is ready to accept connections", re.MULTILINE)


class PostgresMissing(Exception):
    """This machine has no PostgreSQL server; the message says what was looked for."""


def find_binaries() -> Path:
    """The folder with `initdb` and `postgres`; raises PostgresMissing."""
    on_path = shutil.which("postgres")
    candidates = [Path(on_path).resolve().parent] if on_path else []
    for root in ("/usr/lib/postgresql", "/opt/homebrew/opt", "/usr/local/opt"):
        versions = Path(root).glob(
            "[0-9]*/bin" if root.startswith("/usr/lib") else "postgresql*/bin"
        )
        candidates += sorted(versions, key=_version, reverse=True)
    for folder in candidates:
        if (folder / "initdb").is_file() and (folder / "postgres").is_file():
            return folder
    raise PostgresMissing(
        "PostgreSQL (initdb, postgres) is neither on PATH nor where Debian puts it"
    )


def _version(folder: Path) -> int:
    digits = "".join(filter(str.isdigit, folder.parent.name))
    return int(digits or 0)


def _unprivileged() -> pwd.struct_passwd | None:
    """Whom the server must run as: PostgreSQL refuses root. None: as we are."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise PostgresMissing("running as root, and there is no user `postgres` or `nobody` to use")


class PostgresServer:
    """One cluster on a loopback port of its own; trusts whoever connects.

    `durable=False` turns fsync off, which is right for every test but those about crashes. `env` is
    for the server, beside the tests' own.
    """

    def __init__(self, *, durable: bool = False, env: Mapping[str, str] | None = None) -> None:
        self.env = dict(env or {})
        self.binaries = find_binaries()
        self.user = _unprivileged()
        self.durable = durable
        self.folder = Path(tempfile.mkdtemp(prefix="dragoman-pg-"))
        if self.user:
            os.chown(self.folder, self.user.pw_uid, self.user.pw_gid)
        self.data = self.folder / "data"
        self.log = self.folder / "log"
        self.port = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._names = itertools.count(1)

    def create(self) -> None:
        """Make the cluster's files and start it; raises RuntimeError with its log if it fails."""
        options = ["--auth=trust", f"--username={_SUPERUSER}", "--encoding=UTF8", "--no-locale"]
        made = subprocess.run(
            [self.binaries / "initdb", f"--pgdata={self.data}", "--no-sync", *options],
            cwd=self.folder,
            capture_output=True,
            text=True,
            user=self.user.pw_uid if self.user else None,
            group=self.user.pw_gid if self.user else None,
            extra_groups=[] if self.user else None,
        )
        if made.returncode != 0:
            raise RuntimeError(f"initdb failed: {made.stderr}")
        self.start()

    def start(self) -> float:
        """Start (again), on the same port as before; returns when it answers.

        What is returned is the `time.time()` from which on it took connections, by its own log:
        others may have been answered since.
        """
        for attempt in range(5):
            port = self.port or free_port()
            self._spawn(port)
            if self._answers(port):
                self.port = port
                return float(_READY.findall(self.log.read_text(errors="replace"))[-1])
            if self.port and attempt:
                break
        raise RuntimeError(f"PostgreSQL does not start: {self.log.read_text()[-2000:]}")

    def _spawn(self, port: int) -> None:
        options = {
            "listen_addresses": "127.0.0.1",
            "port": str(port),
            "unix_socket_directories": str(self.folder),
            "max_connections": "200",
            "shared_buffers": "32MB",
            "timezone": "UTC",
            "log_line_prefix": _LOG_PREFIX,
        }
        if not self.durable:
            options |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
        arguments = [part for key, value in options.items() for part in ("-c", f"{key}={value}")]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [self.binaries / "postgres", "-D", self.data, *arguments],
                cwd=self.folder,
                env={**os.environ, **self.env},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                user=self.user.pw_uid if self.user else None,
                group=self.user.pw_gid if self.user else None,
                extra_groups=[] if self.user else None,
            )

    def _answers(self, port: int) -> bool:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self._process is None or self._process.poll() is not None:
                return False
            try:
                psycopg.connect(self._dsn("postgres", port)).close()
            except psycopg.OperationalError:
                time.sleep(0.05)
            else:
                return True
        return False

    def _dsn(self, database: str, port: int) -> str:
        return f"postgresql://{_SUPERUSER}@127.0.0.1:{port}/{database}"

    def fresh_database(self, *, template: str | None = None) -> str:
        """The URL of a new database: empty, or a copy of the one at the URL `template`.

        Nobody may be connected to a template.
        """
        name = f"test_{os.getpid()}_{next(self._names)}"
        copied = template.rpartition("/")[2] if template else "template1"
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
        self.execute(statement.format(sql.Identifier(name), sql.Identifier(copied)))
        return self._dsn(name, self.port)

    def execute(self, statement: LiteralString | sql.Composed) -> None:
        """Run a statement as the superuser, in no database of the tests."""
        with psycopg.connect(self._dsn("postgres", self.port), autocommit=True) as connection:
            connection.execute(statement)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """SIGINT: drop all connections, then end cleanly. SIGQUIT: crash. SIGTERM: wait for all."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(how)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGQUIT)
            process.wait(30)

    def freeze(self) -> None:
        """Stop every process of it, until `thaw`: connections are taken, nothing is answered."""
        assert self._process is not None
        server = psutil.Process(self._process.pid)
        server.suspend()  # first: it starts no more children then
        for child in server.children(recursive=True):
            child.suspend()

    def thaw(self) -> None:
        assert self._process is not None
        server = psutil.Process(self._process.pid)
        for process in (*server.children(recursive=True), server):
            process.resume()

    def read_only(self, *, on: bool) -> None:
        """Refuse all writes, as a primary that became a standby does; every session ends."""
        value = sql.SQL("on" if on else "off")
        self.execute(sql.SQL("ALTER SYSTEM SET default_transaction_read_only = {}").format(value))
        self.execute("SELECT pg_reload_conf()")
        self.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
        )

    def remove(self) -> None:
        """Stop it and delete its files."""
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self.folder)

    def abandon(self) -> None:
        """Stop it; its files are deleted by somebody for whom nobody waits.

        Those of a thousand databases take half a minute, at the very end of a run.
        """
        self.stop(signal.SIGQUIT)
        os.posix_spawnp("rm", ["rm", "-rf", str(self.folder)], os.environ, setsid=True)
