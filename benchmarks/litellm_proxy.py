"""LiteLLM's proxy with the settings that its documentation recommends for production.

https://docs.litellm.ai/docs/proxy/prod: `set_verbose` off, LITELLM_MODE=PRODUCTION,
LITELLM_LOG=ERROR (no request logging), a master key, `--num_workers`; no database. Its list of
prices is the one in the package, so that its start does not depend on the network.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import httpx

from benchmarks.sides import LITELLM, LITELLM_2, Side
from tests.eventually import eventually
from tests.ports import free_port
from tests.simulators import Remote

KEY: Final = "sk-benchmark"
START_SECONDS: Final = 300.0
STOP_SECONDS: Final = 20.0
CONFIG: Final = """\
model_list:
  - model_name: sim-model
    litellm_params:
      model: openai/sim-model
      api_base: {upstream}/v1
      api_key: sk-upstream
litellm_settings:
  set_verbose: false
general_settings:
  master_key: {key}
"""
ENVIRONMENT: Final = {
    "LITELLM_MODE": "PRODUCTION",
    "LITELLM_LOG": "ERROR",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
}
# What the environment here may hold and no installation of a user has.
_NOT_THEIRS: Final = ("DRAGOMAN_", "LITELLM_", "OPENAI_", "OTEL_", "PYTHON")


def options(workers: int) -> list[str]:
    """What differs with the number of workers.

    Several are killed and started again for ever where their imports take more than the 5 s after
    which uvicorn thinks that they hang, as on a busy machine: they get more.
    """
    several = ["--timeout_worker_healthcheck", "120"] if workers > 1 else []
    return ["--num_workers", str(workers), *several]


class Proxy:
    """One proxy on a port of its own; its log is beside its configuration."""

    def __init__(self, folder: Path, python: Path, upstream: Remote, *, workers: int) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.workers = workers
        self._folder = folder / f"litellm-{workers}"
        self._python = python
        self._upstream = upstream
        self._process: subprocess.Popen[bytes] | None = None

    def command(self) -> list[str]:
        """How it is started."""
        script = str(self._python.with_name("litellm"))
        place = ["--host", "127.0.0.1", "--port", str(self.port)]
        config = ["--config", str(self._folder / "config.yaml")]
        return [script, *config, *place, *options(self.workers)]

    def start(self) -> None:
        """Start and wait until it is ready; raises RuntimeError with its log."""
        self._folder.mkdir(parents=True, exist_ok=True)
        config = CONFIG.format(upstream=self._upstream.url, key=KEY)
        (self._folder / "config.yaml").write_text(config, encoding="utf-8")
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(_NOT_THEIRS)}
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self.command(),
                cwd=self._folder,
                env={**inherited, **ENVIRONMENT},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            eventually(self._ready, START_SECONDS, every=0.05)
        except TimeoutError:
            told = self._log.read_text(encoding="utf-8", errors="replace")[-3000:]
            raise RuntimeError(
                f"Expected LiteLLM to be ready within {START_SECONDS:g} s, got:\n{told}\n"
                "Give the machine less to do, or look at its log."
            ) from None

    @property
    def _log(self) -> Path:
        return self._folder / "log"

    def _ready(self) -> bool:
        assert self._process is not None
        if (status := self._process.poll()) is not None:
            raise RuntimeError(f"LiteLLM ended with {status}:\n{self._log.read_text()[-3000:]}")
        try:
            answer = httpx.get(f"{self.url}/health/readiness", trust_env=False, timeout=5)
        except httpx.TransportError:
            return False
        return answer.status_code == 200

    @property
    def pid(self) -> int:
        """The process below which all of them are."""
        assert self._process is not None, "not started"
        return self._process.pid

    def stop(self) -> None:
        """End it and its workers."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@contextmanager
def litellm(folder: Path, python: Path, upstream: Remote, *, workers: int) -> Iterator[Side]:
    """A running proxy in front of the upstream; `python` is that of its environment."""
    proxy = Proxy(folder, python, upstream, workers=workers)
    try:
        proxy.start()
        name = LITELLM if workers == 1 else LITELLM_2
        settings = " ".join(f"{variable}={value}" for variable, value in ENVIRONMENT.items())
        command = f"{settings} litellm --config config.yaml {' '.join(options(workers))}"
        yield Side(name, command, proxy.url, "sim-model", KEY, lambda: (proxy.pid,))
    finally:
        proxy.stop()
