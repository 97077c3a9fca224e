"""One running system serves all tests that leave it whole."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.config import READY_FD
from tests.api import Api
from tests.campaigns.stage import Extra
from tests.simulators import CountingSimulator, Remote, Running, running, spawned
from tests.system import System, free_port

LEASE_SECONDS = 3
START_SECONDS = 60.0
MOST_QUEUED = 40  # jobs, as the second registry sees it


@pytest.fixture(scope="package")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """`./dragoman up` on the embedded default, with a short lease."""
    env = {"DRAGOMAN_LEASE_SECONDS": str(LEASE_SECONDS), "DRAGOMAN_GRACE_SECONDS": "5"}
    with System(tmp_path_factory.mktemp("system") / "data", env=env) as started:
        yield started


@pytest.fixture
def api(system: System) -> Api:
    """A caller with the admin key."""
    return system.api


@pytest.fixture
def upstream() -> Iterator[Running]:
    """A counting upstream inside the test's process: its requests can be read."""
    with running(CountingSimulator()) as sim:
        yield sim


@pytest.fixture
def far_upstream() -> Iterator[Remote]:
    """A counting upstream in a process of its own, for load."""
    with spawned() as sim:
        yield sim


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A provider name that no other test takes."""
    return str(request.node.name)[:100]


@pytest.fixture(scope="package")
def second_registry(system: System, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of another registry on the same database and Valkey, whose queue is full early."""
    port = free_port()
    environ = system.process("registry").environ()
    environ.pop(READY_FD, None)  # the first one's own
    environ |= {"DRAGOMAN_PORT": str(port), "DRAGOMAN_QUEUE_LIMIT": str(MOST_QUEUED)}
    log: Path = tmp_path_factory.mktemp("second") / "registry.log"
    registry = Extra("services.registry", environ, log)
    registry.start()
    try:
        url = f"http://127.0.0.1:{port}"
        with Api(url, system.admin_key) as asked:
            asked.healthy(START_SECONDS)
        yield url
    finally:
        registry.end(signal.SIGTERM)
