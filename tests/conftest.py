"""Fixtures that several layers of the suite share."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings

from tests.depth import LONG, LONG_EXAMPLES, LONG_STEPS

if TYPE_CHECKING:
    from xdist.scheduler import LoadScopeScheduling

    from tests.postgres import PostgresServer

settings.register_profile(
    "ci",
    derandomize=True,  # a run of CI says something about the change, not about its luck
    deadline=None,
    database=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile(
    LONG,
    max_examples=LONG_EXAMPLES,
    stateful_step_count=LONG_STEPS,
    deadline=None,
    print_blob=True,
    suppress_health_check=list(HealthCheck),
)
if os.environ.get("CI") == "true":
    settings.load_profile("ci")
# What a shell starts with `&` ignores Ctrl-C, and so would every command that is tested here.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling | None:
    """Ours for what `./dragoman test` asks for, xdist's for everything else."""
    if config.getvalue("dist") != "loadscope":
        return None
    from tests.side_by_side import Scheduler

    return Scheduler(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Let the slow layers begin where several processes share the tests."""
    if hasattr(config, "workerinput"):
        from tests.side_by_side import turn_of

        items.sort(key=turn_of)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A PostgreSQL cluster for this session; skips without PostgreSQL, fails where CI=true."""
    from tests.postgres import PostgresMissing, PostgresServer

    try:
        server = PostgresServer()
    except PostgresMissing as missing:
        if os.environ.get("CI") == "true":
            pytest.fail(f"CI must not skip this: {missing}")
        pytest.skip(str(missing))
    try:
        server.create()
        yield server
    finally:
        server.abandon()
