"""What operators change while all goes on: releases, secrets, the database of a restore."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psycopg
import pytest
import redis
import sqlalchemy as sa

from deploy.grants import CHAT_WORKER
from shared.store.database import Database
from shared.store.schema import chat_job, job_attempt
from tests.api import Api
from tests.campaigns.checker import Evidence, check
from tests.campaigns.load import Load, Shape
from tests.campaigns.release_before import NoReleaseBefore, release_before
from tests.compose_file import ROOT
from tests.composed import HAPROXY, REGISTRIES, Composed
from tests.eventually import eventually
from tests.simulators import Running

SHAPE = Shape(kinds={"b": 1.0, "p": 1.0}, latency=(0.05, 0.3), rate=20, connections=8)
URLS = ("registry", "chat_worker", "discovery_worker", "migrate")
# Without a proxy, callers go to the registry that stays.
RESTARTED = REGISTRIES if HAPROXY else REGISTRIES[:1]


@contextmanager
def nobody_notices(composed: Composed, api: Api, upstream: Running, run: str) -> Iterator[Load]:
    """Load during the block; afterwards nothing was refused, lost, called twice or denied."""
    slug = api.add_provider(run, upstream.url)["slug"]
    url = composed.url if HAPROXY else composed.url_of(REGISTRIES[1])
    load = Load(url, composed.admin_key, f"{slug}/m", run=run, shape=SHAPE, seed=1)
    load.start()
    try:
        yield load
        known = len(load.accepted)
        eventually(lambda: len(load.accepted) > known + 10, 10)
    finally:
        load.stop()
    assert [refused.why for refused in load.refused] == []
    api.ended([entry.job_id for entry in load.accepted], 30)
    evidence = Evidence(
        load.accepted, load.collect(), load.first_seen, upstream.calls(), tolerated=()
    )
    assert [finding for finding in check(evidence) if not finding.holds] == []
    assert composed.denials() == []


@pytest.mark.timeout(240)
def test_the_release_before_runs_on_this_schema_beside_this_one(
    composed: Composed, api: Api, upstream: Running, tmp_path: Path
) -> None:
    """The way there and back as a whole, on the schema before too: `test --campaign upgrade`."""
    try:
        before = release_before(tmp_path)
    except NoReleaseBefore as none:
        pytest.skip(str(none))
    names = ("registry-1", "chat-worker-1")
    with nobody_notices(composed, api, upstream, "mixed") as load:
        composed.code = dict.fromkeys(names, before)
        composed.restart(*names)
        known = len(load.accepted)
        eventually(lambda: len(load.accepted) > known + 10, 10)
        composed.code = {}
        composed.restart(*names)


@pytest.mark.timeout(240)
def test_every_secret_is_changed_and_what_uses_it_restarted_and_no_caller_sees_it(
    composed: Composed, api: Api, upstream: Running
) -> None:
    urls = {name: composed.secret(f"database_url_{name}") for name in URLS}
    broker, token = composed.secret("redis_url"), composed.secret("metrics_token")
    with nobody_notices(composed, api, upstream, "rotate"):
        composed.make_secrets(
            "renew", "redis_url", "metrics_token", *(f"database_url_{name}" for name in URLS)
        )
        composed.make_logins()
        composed.command("migrate")
        composed.end("valkey")
        composed.start_valkey()
        for service in ("chat-worker-1", *RESTARTED):
            composed.restart(service)
        composed.make_logins("retire")
    for name, old in urls.items():
        assert "_b:" in composed.secret(f"database_url_{name}")
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(old)
    with redis.Redis.from_url(broker) as stale, pytest.raises(redis.AuthenticationError):
        stale.ping()
    place = f"{composed.url_of(RESTARTED[0])}/metrics"
    for known, status in ((token, 401), (composed.secret("metrics_token"), 200)):
        answer = httpx.get(place, headers={"Authorization": f"Bearer {known}"})
        assert answer.status_code == status
        assert status == 401 or "dragoman_redis_up 1.0" in answer.text


def test_a_dump_taken_under_load_restores_to_a_database_that_works(
    composed: Composed, api: Api, upstream: Running
) -> None:
    slug = api.add_provider("dumped", upstream.url)["slug"]
    shape = Shape(latency=(0.0, 0.2), rate=50, connections=8)
    url, key = composed.url_of(REGISTRIES[0]), composed.admin_key
    load = Load(url, key, f"{slug}/m", run="dump", shape=shape, seed=2)
    dump, tools = str(composed.folder / "dragoman.dump"), composed.postgres.binaries
    load.start()
    try:
        eventually(lambda: len(load.accepted) > 20, 10)
        before = [entry.job_id for entry in load.accepted]
        owner = composed.secret("database_url_migrate")
        composed.run(str(tools / "pg_dump"), "--format=custom", f"--file={dump}", owner, env={})
        known = len(load.accepted)
        eventually(lambda: len(load.accepted) > known, 10)
    finally:
        load.stop()
    composed.postgres.execute("CREATE DATABASE restored OWNER dragoman_migrate")
    restore = [str(tools / "pg_restore"), "--no-owner", "--no-privileges", "--exit-on-error"]
    place = f"127.0.0.1:{composed.postgres.port}/restored"
    into = ["--role=dragoman_migrate", f"--dbname=postgresql://dragoman@{place}", dump]
    composed.run(*restore, *into, env={})
    # A restore brings no grants: migrate gives them anew.
    logins = [composed.secret(f"database_url_{name}") for name in ("migrate", "registry")]
    owner, registry = (f"{url.rpartition('/')[0]}/restored" for url in logins)
    settings = {"DATABASE_URL_FILE": "", "DATABASE_URL": owner}
    env = composed.environment("migrate") | settings
    dragoman = (sys.executable, str(ROOT / "dragoman"))
    assert f"Granted what they write to {CHAT_WORKER}" in composed.run(
        *dragoman, "migrate", env=env
    )
    told = composed.run(*dragoman, "keys", "rotate-master", "--stage", "verify", env=env)
    assert "Every stored value opens" in told
    database = Database(registry)
    with database.read() as tx:
        found = set(tx.execute(sa.select(chat_job.c.id)).scalars())
        attempts = set(tx.execute(sa.select(job_attempt.c.job_id)).scalars())
    database.dispose()
    assert {f"chatcmpl-{job_id}" for job_id in found} >= set(before)
    assert attempts <= found  # what was written together is there together
