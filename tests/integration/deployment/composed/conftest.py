"""docker-compose.yml as running processes, on a PostgreSQL of its own that asks for passwords."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api import Api
from tests.composed import HAPROXY, Composed
from tests.postgres import PostgresMissing, PostgresServer
from tests.simulators import CountingSimulator, Running, running

LEASE_SECONDS = 2


@pytest.fixture(scope="package")
def composed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Composed]:
    """Everything runs, each service under its own role."""
    folder: Path = tmp_path_factory.mktemp("composed")
    try:
        server = PostgresServer()
    except PostgresMissing as missing:
        if os.environ.get("CI") == "true":
            pytest.fail(f"CI must not skip this: {missing}")
        pytest.skip(str(missing))
    if HAPROXY is None and os.environ.get("CI") == "true":
        pytest.fail("CI must not skip this: HAProxy is not on PATH")
    settings = {
        "DRAGOMAN_LEASE_SECONDS": str(LEASE_SECONDS),
        "DRAGOMAN_GRACE_SECONDS": "5",
        "DRAGOMAN_OUTBOUND_ALLOW": "loopback",
        "DRAGOMAN_REGISTRY_WORKERS": "1",
        "DRAGOMAN_TRUSTED_PROXIES": "127.0.0.1",
    }
    everything = Composed(folder, server, settings)
    try:
        server.create()
        yield everything.start()
    finally:
        everything.stop()
        server.remove()


@pytest.fixture
def api(composed: Composed) -> Iterator[Api]:
    """The admin, through the proxy."""
    with Api(composed.url, composed.admin_key) as caller:
        yield caller


@pytest.fixture
def upstream() -> Iterator[Running]:
    with running(CountingSimulator()) as sim:
        yield sim
