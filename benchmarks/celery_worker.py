"""A plain Celery worker with a Valkey of its own, started and asked."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from benchmarks.load import CHAT
from benchmarks.plain_celery import app, post
from benchmarks.sides import CELERY, Side
from shared.queues import broker_url
from tests.eventually import eventually
from tests.simulators import Remote
from tests.valkey import OwnValkey

ROOT: Final = Path(__file__).parents[1]
START_SECONDS: Final = 60.0
STOP_SECONDS: Final = 20.0
PROCESSES: Final = os.cpu_count() or 1  # what it makes of itself where nobody says a number
COMMAND: Final = ("-m", "celery", "-A", "benchmarks.plain_celery", "worker", "--loglevel=WARNING")


def submit(side: Side, count: int, sim: Mapping[str, Any]) -> None:
    """Queue `count` chats that ask the upstream for `sim`."""
    body = {"model": side.model, "messages": [{"role": "user", "content": "Hello"}], "sim": sim}
    for _ in range(count):
        post.delay(f"{side.url}{CHAT}", body)


@contextmanager
def suspended(side: Side) -> Iterator[None]:
    """SIGSTOP the worker's parent, which fetches the tasks, while the block runs."""
    parent = side.roots()[0]
    os.kill(parent, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(parent, signal.SIGCONT)


@contextmanager
def celery(folder: Path, upstream: Remote) -> Iterator[Side]:
    """A running worker with Celery's default concurrency: a process for each core."""
    with OwnValkey(folder / "celery") as valkey:
        broker = broker_url(valkey.url)
        backend = f"{broker.partition('?')[0]}?virtual_host=1"
        app.conf.update(broker_url=broker, result_backend=backend)
        log = folder / "celery.log"
        with log.open("ab") as file:
            process = subprocess.Popen(
                [sys.executable, *COMMAND],
                cwd=ROOT,
                env={**os.environ, "CELERY_BROKER_URL": broker, "CELERY_RESULT_BACKEND": backend},
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                start_new_session=True,
            )
        try:
            eventually(lambda: _answers(process, log), START_SECONDS, every=0.2)
            assert valkey.process is not None
            pids = (process.pid, valkey.process.pid)
            command = " ".join(COMMAND).removeprefix("-m ")
            yield Side(CELERY, command, upstream.url, "sim-model", None, lambda: pids)
        finally:
            app.close()
            process.send_signal(signal.SIGQUIT)  # at once: nobody waits for its tasks any more
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def _answers(process: subprocess.Popen[bytes], log: Path) -> bool:
    if (status := process.poll()) is not None:
        raise RuntimeError(f"Celery's worker ended with {status}:\n{log.read_text()[-3000:]}")
    return bool(app.control.ping(timeout=0.5))
