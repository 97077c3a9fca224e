"""One running system serves all tests that leave it whole."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.api import Api
from tests.simulators import CountingSimulator, Remote, Running, running, spawned
from tests.system import System

LEASE_SECONDS = 3


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
