"""A real llama.cpp server with a real model, for tests of the whole product."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

import httpx
import pytest

from tests.eventually import eventually
from tests.system import ROOT, free_port

needs_llama_cpp = pytest.mark.skipif(
    find_spec("xllamacpp") is None and os.environ.get("CI") != "true",
    reason="demo.lock is not installed: ./dragoman test installs it",
)


@contextmanager
def llama_server(*keys: str) -> Iterator[str]:
    """The URL of a llama.cpp server that accepts these keys; without any it asks for none."""
    port = free_port()
    environ = {**os.environ, "LLAMA_ARG_PORT": str(port), "LLAMA_API_KEY": ",".join(keys)}
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "deploy.llama_server"],
        env={**environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}"

    def healthy() -> bool:
        assert process.poll() is None, "llama.cpp ended"
        try:
            return httpx.get(f"{url}/health", trust_env=False).status_code == 200
        except httpx.TransportError:
            return False

    try:
        eventually(healthy, 60, every=0.1)
        yield url
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise
