"""Limits of keys while Redis is frozen: they hold in the process, and cost next to nothing."""

from __future__ import annotations

import time

from tests.api import Api
from tests.integration.registry.conftest import Process, Stage

LIMIT = 6
PATIENCE = 1.0  # seconds for all requests together; each alone would wait 0.25 s for Redis


def spend(process: Process) -> tuple[list[int], float]:
    """The statuses of more requests than a new key has, and how long they took."""
    body = {"name": "few", "limits": {"requests_per_minute": LIMIT}}
    key = process.api.http.post("/v1/keys", json=body).json()["key"]
    with Api(process.url, key) as api:
        began = time.monotonic()
        found = [api.http.get("/v1/me").status_code for _ in range(LIMIT + 4)]
        return found, time.monotonic() - began


def test_a_frozen_redis_opens_no_limit_and_holds_nobody_up(bare: Stage) -> None:
    bare.valkey.start()
    with bare.process() as process:
        bare.valkey.freeze()
        try:
            for _ in range(3):
                minute = time.time() // 60
                statuses, seconds = spend(process)
                if time.time() // 60 == minute:  # else some were counted in the next one
                    break
        finally:
            bare.valkey.thaw()
        assert statuses == [200] * LIMIT + [429] * 4
        assert seconds < PATIENCE
        assert "requests are counted by each process alone" in bare.log.read_text()
