"""The composition works as a whole: behind its proxy, under its roles, while passwords change."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from typing import Any

import httpx
import psycopg
import pytest
from psycopg import errors

from deploy.grants import CHAT_WORKER, DISCOVERY_WORKER, REGISTRY
from shared.store import jobs, usage
from shared.store.database import Database
from tests.api import CHAT, Api, chat_body
from tests.compose_file import ROOT
from tests.composed import HAPROXY, REGISTRIES, Composed
from tests.eventually import eventually
from tests.simulators import Mode, Running, running
from tests.webhook_receiver import SECRET, Receiver


def call(api: Api, method: str, path: str, status: int, **more: Any) -> Any:
    answer = api.http.request(method, path, **more)
    assert answer.status_code == status, f"{method} {path}: {answer.status_code} {answer.text}"
    return answer.json() if answer.content else None


def test_providers_are_found_tested_changed_and_deleted(
    composed: Composed, api: Api, upstream: Running
) -> None:
    assert composed.scraped().count("dragoman_database_up 1.0") == len(REGISTRIES)
    made = api.add_provider("acme", upstream.url, api_key="sk-0123456789abcdef")
    api.discovered(made["id"], "ok", 10)
    upstream.simulator.models.append("another")
    call(api, "POST", "/v1/providers/acme/refresh", 200, headers={"Prefer": "wait=10"})
    call(api, "PATCH", "/v1/providers/acme", 200, json={"options": {"models": ["by-hand"]}})
    tested = {"endpoint": upstream.url, "chat": True}
    assert call(api, "POST", "/v1/providers/test", 200, json=tested)["status"] == "done"
    call(api, "PATCH", "/v1/providers/acme", 200, json={"enabled": False})
    api.discovered(made["id"], "disabled", 10)
    call(api, "PATCH", "/v1/providers/acme", 200, json={"enabled": True})
    api.discovered(made["id"], "ok", 10)
    types = {event["type"] for event in call(api, "GET", "/v1/events", 200)["data"]}
    assert types >= {"provider.created", "provider.changed", "models.changed"}
    upstream.hold()
    queued = [api.submit("acme/m", f"of-deleted-{number}") for number in range(2)]
    call(api, "DELETE", "/v1/providers/acme", 204)
    upstream.release()
    api.ended(queued, 10)
    assert composed.denials() == []


def test_jobs_run_stream_tell_their_receivers_and_are_cancelled_deleted_and_counted(
    composed: Composed, api: Api, upstream: Running
) -> None:
    slug = api.add_provider("worker", upstream.url)["slug"]
    with running(Receiver()) as receiver:
        there = receiver.simulator
        assert isinstance(there, Receiver)
        hooked = {"webhook": {"url": f"{receiver.url}/told", "secret": SECRET}}
        failing = {"webhook": {"url": f"{receiver.url}/503", "secret": SECRET}}
        told = [
            api.submit(f"{slug}/m", "hooked", background_options=options)
            for options in (hooked, failing)
        ]
        plain = api.chat(f"{slug}/m", "plain")
        assert plain.status_code == 200, plain.text
        spoken = chat_body(f"{slug}/m", "streamed", stream=True, store=True, sim={"words": 5})
        chunks = api.http.post(CHAT, json=spoken).text.split("data: ")[1:-1]
        streamed = json.loads(chunks[0])["id"]
        once = {"headers": {"Idempotency-Key": "k"}, "json": chat_body(f"{slug}/m", "once")}
        ids = {call(api, "POST", CHAT, 200, **once)["id"] for _ in range(2)}
        assert len(ids) == 1
        assert {job["status"] for job in api.ended(told, 10).values()} == {"completed"}
        there.wait_for("/told", 1)
        there.wait_for("/503", 1)
    upstream.hold()
    running_one = api.submit(f"{slug}/m", "running")
    upstream.wait_until(lambda stats: stats.in_flight == 1, 10)
    assert call(api, "POST", f"{CHAT}/{running_one}/cancel", 200)["status"] == "cancelled"
    upstream.release()
    call(api, "POST", f"{CHAT}/{streamed}", 200, json={"metadata": {"a": "b"}})
    (noted,) = call(api, "GET", f"{CHAT}?metadata[a]=b", 200)["data"]
    assert noted["id"] == streamed
    call(api, "DELETE", f"{CHAT}/{streamed}", 200)
    (row,) = call(api, "GET", "/v1/usage?group_by=model", 200)["data"][-1:]
    assert row["requests"] >= 4
    assert composed.denials() == []


def test_a_provider_that_refuses_closes_its_gate_and_a_dead_worker_is_swept(
    composed: Composed, api: Api, upstream: Running
) -> None:
    slug = api.add_provider("away", upstream.url)["slug"]
    upstream.set_mode(Mode.RATE_LIMITED)
    gated = api.submit(f"{slug}/m", "gated")
    eventually(lambda: (api.job(gated)["waiting_for"] or {}).get("reason") == "retry_after", 10)
    upstream.set_mode(Mode.NORMAL)
    assert api.ended([gated], 20)[gated]["status"] == "completed"
    upstream.hold()
    held = [api.submit(f"{slug}/m", f"held-{number}") for number in range(4)]
    upstream.wait_until(lambda stats: stats.in_flight == 4, 10)
    for name in ("chat-worker-1", "chat-worker-2"):
        composed.end(name, signal.SIGKILL)
    for name in ("chat-worker-1", "chat-worker-2"):
        composed.spawn(name)
        composed.until_healthy(name)
    swept = api.ended(held, 20)
    upstream.release()
    assert {job["error"]["code"] for job in swept.values()} == {"interrupted"}
    assert composed.denials() == []


def test_keys_are_made_used_revoked_and_the_purges_may_delete(composed: Composed, api: Api) -> None:
    spoofed = {"X-Forwarded-For": "203.0.113.9", "Forwarded": "for=203.0.113.9"}
    key = call(api, "POST", "/v1/keys", 201, json={"name": "member"}, headers=spoofed)
    (entry,) = call(api, "GET", f"/v1/audit?subject={key['id']}", 200)["data"]
    assert (entry["action"], entry["address"]) == ("key.create", "127.0.0.1")
    with Api(composed.url, key["key"]) as member:
        call(member, "GET", "/v1/models", 200)
    call(api, "DELETE", f"/v1/keys/{key['id']}", 204)
    database = Database(composed.secret("database_url_chat_worker"))
    with database.write() as tx:
        jobs.purge(tx, now=2e9)
        usage.purge(tx, now=2e9)
    database.dispose()


@pytest.mark.parametrize(
    ("role", "statement"),
    [
        (DISCOVERY_WORKER, "UPDATE provider SET endpoint = 'http://evil'"),
        (DISCOVERY_WORKER, "UPDATE chat_job SET result_sealed = 'forged'"),
        (DISCOVERY_WORKER, "SELECT request_sealed FROM chat_job"),
        (DISCOVERY_WORKER, "SELECT digest FROM api_key"),
        (DISCOVERY_WORKER, "UPDATE event SET type = 'forged'"),
        (CHAT_WORKER, "UPDATE provider SET api_key_sealed = NULL"),
        (CHAT_WORKER, "INSERT INTO event (seq) VALUES (1)"),
        (CHAT_WORKER, "UPDATE chat_job SET owner = 'me'"),
        (CHAT_WORKER, "INSERT INTO chat_job (id) VALUES ('forged')"),
        (CHAT_WORKER, "UPDATE job_attempt SET sent = false"),
        (CHAT_WORKER, "SELECT digest FROM api_key"),
        (CHAT_WORKER, "DELETE FROM discovery"),
        (REGISTRY, "UPDATE chat_job SET result_sealed = 'forged'"),
        (REGISTRY, "UPDATE chat_job SET request_sealed = 'forged'"),
        (REGISTRY, "INSERT INTO job_attempt (job_id) VALUES ('forged')"),
        (REGISTRY, "UPDATE usage_hour SET requests = 0"),
        (REGISTRY, "UPDATE model SET gone_at = 0"),
        (REGISTRY, "UPDATE event SET type = 'forged'"),
        (REGISTRY, "UPDATE api_key SET role = 'admin'"),
        (REGISTRY, "UPDATE audit SET actor_name = 'forged'"),
        (REGISTRY, "DELETE FROM audit"),
        (REGISTRY, "TRUNCATE audit"),
        (REGISTRY, "UPDATE installation SET keyring_proof = 'forged'"),
        (REGISTRY, "CREATE TABLE mine (id int)"),
        (REGISTRY, "DROP TABLE audit"),
    ],
)
def test_no_service_can_write_what_is_anothers(
    composed: Composed, role: str, statement: str
) -> None:
    url = composed.secret(f"database_url_{role.removeprefix('dragoman_')}")
    with psycopg.connect(url) as connection, pytest.raises(errors.InsufficientPrivilege):
        connection.execute(statement.encode())
    composed.denials()  # told, and forgotten


def test_nobody_gets_in_without_a_password_or_from_another_role(composed: Composed) -> None:
    place = f"127.0.0.1:{composed.postgres.port}/dragoman"
    for login in (f"{REGISTRY}:wrong", REGISTRY, "dragoman"):
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(f"postgresql://{login}@{place}")


def test_migrate_says_so_when_it_is_run_as_a_role_that_owns_nothing(composed: Composed) -> None:
    wrong = {"DATABASE_URL_FILE": str(composed.secrets / "database_url_registry")}
    command = [sys.executable, str(ROOT / "dragoman"), "migrate"]
    env = composed.environment("migrate") | wrong
    refused = subprocess.run(command, env=env, capture_output=True)
    assert refused.returncode == 78
    assert b"expected the role that owns the tables, got: permission denied" in refused.stderr
    composed.denials()


@pytest.mark.skipif(HAPROXY is None, reason="no HAProxy here")
def test_the_proxy_passes_streams_on_as_they_come_and_hang_ups_too(
    composed: Composed, api: Api, upstream: Running
) -> None:
    slug = api.add_provider("proxied", upstream.url)["slug"]
    slow = chat_body(f"{slug}/m", "slow", stream=True, sim={"words": 50, "every": 0.2})
    with api.http.stream("POST", CHAT, json=slow) as answer:
        first = next(line for line in answer.iter_lines() if "word0" in line)
        assert upstream.calls_of("slow").answered == 0
    assert json.loads(first.removeprefix("data: "))["choices"]
    # The block's end has hung up: nobody else wants that call.
    upstream.wait_until(lambda stats: stats.in_flight == 0, 10)
    upstream.hold()
    waiting = chat_body(f"{slug}/m", "left")
    with pytest.raises(httpx.ReadTimeout):
        api.http.post(CHAT, json=waiting, timeout=1)
    upstream.wait_until(lambda stats: stats.in_flight == 0, 10)
    upstream.release()
