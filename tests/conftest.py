"""Fixtures that several layers of the suite share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.postgres import PostgresServer


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
        server.remove()
