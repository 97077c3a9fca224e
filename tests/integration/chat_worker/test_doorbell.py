"""The doorbell on a real Valkey: what it pushes is Celery's own message, once until answered.

And what a worker makes of it.
"""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest
import redis
from celery import Celery

from shared import config, queues
from shared.domain import JobState
from shared.queues import KEY_PREFIX, QUEUE_CHAT, QUEUE_DISCOVERY, TASK_DRAIN, TASK_REFRESH
from shared.store import jobs
from tests.eventually import eventually
from tests.integration.chat_worker.conftest import Bench, local_worker
from tests.valkey import OwnValkey

# What Celery makes anew for each message, or each process.
ANEW = ("id", "root_id", "correlation_id", "reply_to", "delivery_tag")


@pytest.fixture
def client(valkey: OwnValkey) -> redis.Redis:
    return redis.Redis.from_url(valkey.url, decode_responses=True)


@pytest.fixture
def celery(valkey: OwnValkey, tmp_path: Path) -> Celery:
    environ = {"DRAGOMAN_DATA_DIR": str(tmp_path), "REDIS_URL": valkey.url}
    return queues.make_celery(config.load(environ), "a test")


def waiting(client: redis.Redis, queue: str = QUEUE_CHAT) -> list[Any]:
    """The messages of a queue, the newest first, without what is anew in each."""

    def same(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: same(value[name]) for name in value if name not in ANEW}
        return value

    return [same(json.loads(text)) for text in client.lrange(f"{KEY_PREFIX}{queue}", 0, -1)]


@pytest.mark.parametrize("hops", [0, 2])
def test_a_ring_pushes_what_celery_would_send(
    celery: Celery, client: redis.Redis, hops: int
) -> None:
    queues.Doorbell(celery, client).ring(hops=hops)
    celery.send_task(TASK_DRAIN, kwargs={"hops": hops}, retry=False, ignore_result=True)

    celerys, ours = waiting(client)
    assert ours == celerys
    assert ours["headers"]["kwargsrepr"] == f"{{'hops': {hops}}}"


def test_the_message_of_any_task_is_celerys(celery: Celery, client: redis.Redis) -> None:
    kwargs = {"provider_id": "prv_1"}
    client.lpush(f"{KEY_PREFIX}{QUEUE_DISCOVERY}", queues.message_of(celery, TASK_REFRESH, kwargs))
    celery.send_task(TASK_REFRESH, kwargs=kwargs, retry=False, ignore_result=True)

    celerys, ours = waiting(client, QUEUE_DISCOVERY)
    assert ours == celerys


def test_any_number_of_rings_is_one_until_it_is_answered(
    celery: Celery, client: redis.Redis
) -> None:
    ours, anothers = queues.Doorbell(celery, client), queues.Doorbell(celery, client)
    for bell in (ours, anothers, ours):
        bell.ring()
    assert len(waiting(client)) == 1

    anothers.answered()
    ours.ring()
    assert len(waiting(client)) == 2


def test_a_ring_that_nobody_answers_is_repeated_after_a_second(
    celery: Celery, client: redis.Redis
) -> None:
    bell = queues.Doorbell(celery, client)
    bell.ring()
    left = client.pttl(f"{KEY_PREFIX}bell:{QUEUE_CHAT}")
    assert 0 < left <= queues.BELL_MS == 1_000


def test_a_bell_without_a_redis_says_so_and_rings_when_it_is_back(
    celery: Celery, client: redis.Redis, valkey: OwnValkey
) -> None:
    bell = queues.Doorbell(celery, client)
    bell.ring()
    bell.answered()
    valkey.stop(signal.SIGTERM)  # killed while it flushes, it forgets what it has just answered
    with pytest.raises(redis.ConnectionError):
        bell.ring()
    valkey.start()
    before = len(waiting(client))
    bell.ring()
    assert len(waiting(client)) == before + 1


def test_a_bell_is_reason_enough_to_claim_and_another_ring_to_look(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[bool] = []

    def sees_nothing(_tx: object) -> bool:
        looks.append(True)
        return False

    monkeypatch.setattr(jobs, "has_work", sees_nothing)
    with local_worker(bench, bench.database) as worker:
        job_id = bench.submit()
        looks.clear()
        worker.keeper.ring()
        eventually(lambda: looks, 10)
        assert bench.job(job_id).state is JobState.QUEUED

        worker.keeper.ring(bell=True)
        (job,) = bench.ended(job_id)
        assert job.state is JobState.COMPLETED
