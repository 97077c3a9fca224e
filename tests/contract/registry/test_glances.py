"""Glances of requests: they have no transaction, and so must hold nothing once they are over."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

import pytest
import sqlalchemy as sa
from sqlalchemy import exc

from shared import ids
from tests.api import CHAT
from tests.contract.registry.conftest import Registry


def finds(registry: Registry, slug: str) -> None:
    registry.job(registry.submit(f"{slug}/m")["id"])


def finds_nothing(registry: Registry, _slug: str) -> None:
    assert registry.get(f"{CHAT}/chatcmpl-{ids.new()}").status_code == 404


def fails_in_between(registry: Registry, _slug: str) -> None:
    two = sa.text("SELECT id FROM api_key UNION SELECT 'another'")
    with pytest.raises(exc.MultipleResultsFound):
        registry.parts.transactions.glance(lambda tx: tx.execute(two).one())


@pytest.mark.parametrize("glance", [finds, finds_nothing, fails_in_between])
def test_a_glance_keeps_nobody_from_emptying_the_log(
    registry: Registry, slug: str, glance: Callable[[Registry, str], None]
) -> None:
    if not registry.database.is_sqlite:
        pytest.skip("only of SQLite a reader keeps the log from being emptied")
    glance(registry, slug)
    path = registry.parts.settings.database_url.removeprefix("sqlite:///")
    with sqlite3.connect(path) as other:
        busy, _, _ = other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    assert busy == 0
