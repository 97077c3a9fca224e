"""What a campaign plays on: a system, a counting upstream, a Valkey, and other processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.faultproxy import FaultProxy, fault_proxy
from tests.simulators import Remote, spawned
from tests.system import ROOT, System
from tests.valkey import OwnValkey

LEASE_SECONDS = 3


class Extra:
    """A process of one service beside the runner's own, so that the living can notice the dead."""

    def __init__(self, module: str, environ: Mapping[str, str], log: Path) -> None:
        self.log = log
        self._module = module
        self._environ = environ
        self._process: subprocess.Popen[bytes] | None = None
        self._replacing = threading.Lock()

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start it (again); it is ready some time later."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", self._module],
                cwd=ROOT,
                env=self._environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def end(self, number: signal.Signals) -> None:
        """Send `number` and wait for the end; stopped ones are continued."""
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(signal.SIGCONT)
            process.send_signal(number)
            process.wait(60)

    def replace(self, number: signal.Signals, *, pid: int | None = None) -> bool:
        """End it and start it anew, from any thread; False when it is not `pid` any more."""
        with self._replacing:
            if pid is not None and not (self.alive and self.pid == pid):
                return False
            self.end(number)
            self.start()
            return True


@dataclass(frozen=True, slots=True)
class Network:
    """What stands between the services and everything that they connect to."""

    database: FaultProxy
    valkey: FaultProxy
    upstream: FaultProxy


@dataclass(frozen=True, slots=True)
class Stage:
    """Everything runs; `model` is what to ask for. `extra` is None without a second worker.

    `environ` is for processes beside those of the runner; `database_url` leads past the network.
    """

    system: System
    upstream: Remote
    valkey: OwnValkey
    extra: Extra | None
    model: str
    environ: Mapping[str, str]
    database_url: str
    network: Network | None = None


@contextmanager
def stage(
    folder: Path,
    *,
    env: Mapping[str, str] | None = None,
    second_worker: bool = True,
    database: str | None = None,
    options: Mapping[str, Any] | None = None,
    valkey_folder: Path | None = None,
    second_env: Mapping[str, str] | None = None,
) -> Iterator[Stage]:
    """Start it all in `folder`; ends it all, also after an error.

    With the URL of a PostgreSQL `database`, it, Valkey and the upstream are reached through proxies
    (`network`). `options` are those of the provider. A `valkey_folder` has a short path.
    `second_env` is for the second worker only.
    """
    with ExitStack() as stack:
        # A socket's path holds about 100 bytes, and a test's folder may be longer.
        short = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="dragoman-")))
        valkey = stack.enter_context(OwnValkey(valkey_folder or short))
        upstream = stack.enter_context(spawned())
        settings = {
            "REDIS_URL": valkey.url,
            "DRAGOMAN_LEASE_SECONDS": str(LEASE_SECONDS),
            "DRAGOMAN_GRACE_SECONDS": "10",
            "DRAGOMAN_UNSTORED_RESULT_TTL": "604800",  # plain calls are compared at the end
            **(env or {}),
        }
        endpoint, network = upstream.url, None
        if database is not None:
            network = Network(
                stack.enter_context(fault_proxy(_place(database))),
                stack.enter_context(fault_proxy(str(valkey.socket))),
                stack.enter_context(fault_proxy(_place(upstream.url))),
            )
            settings["DATABASE_URL"] = _through(network.database, database)
            settings["REDIS_URL"] = f"redis://127.0.0.1:{network.valkey.port}/0"
            endpoint = _through(network.upstream, upstream.url)
        system = stack.enter_context(System(folder / "data", env=settings))
        chosen = {"options": dict(options)} if options else {}
        provider = system.api.add_provider("campaign", endpoint, **chosen)
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("DRAGOMAN_")}
        own = {"DRAGOMAN_DATA_DIR": str(system.data_dir), "PYTHONPATH": str(ROOT)}
        allow = {"DRAGOMAN_OUTBOUND_ALLOW": "loopback", "DRAGOMAN_PORT": str(system.port)}
        environ = {**inherited, **allow, **settings, **own}
        extra = None
        if second_worker:
            extra = Extra(
                "services.chat_worker", {**environ, **(second_env or {})}, folder / "extra.log"
            )
            extra.start()
            stack.callback(extra.end, signal.SIGTERM)
        model = f"{provider['slug']}/sim-model"
        known = database or system.database_url
        yield Stage(system, upstream, valkey, extra, model, environ, known, network)


def _place(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    return parts.hostname, parts.port


def _through(proxy: FaultProxy, url: str) -> str:
    """The same URL by way of the proxy."""
    host, port = _place(url)
    return url.replace(f"{host}:{port}", f"127.0.0.1:{proxy.port}", 1)
