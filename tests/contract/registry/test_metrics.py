"""`/metrics` of the application: who sees it, and what the database says, on both databases."""

from __future__ import annotations

import re
import time
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families
from werkzeug.test import Client, TestResponse

from services.registry.app import create_app
from services.registry.metrics.facts import SHOWN
from services.registry.metrics.view import UP
from services.registry.request_ids import RequestIds
from shared.domain import GateReason
from shared.errors import StoreUnavailable
from shared.store.schema import chat_job, webhook_delivery, worker
from tests.contract.registry.conftest import CHAT, Registry

TOKEN = "a-token-of-the-scraper"
_KEYS = ("provider", "tier", "state", "status", "enabled", "duty", "code", "route", "mode")


def parsed(answer: TestResponse) -> dict[str, Metric]:
    """Name → family; the parser refuses what is not Prometheus' text format."""
    assert answer.status_code == 200, answer.text
    assert answer.content_type == "text/plain; version=0.0.4; charset=utf-8"
    found = list(text_string_to_metric_families(answer.text))
    assert len({family.name for family in found}) == len(found), "a metric stands in two places"
    return {family.name: family for family in found}


def samples(registry: Registry, name: str, **wanted: str) -> dict[tuple[str, ...], float]:
    """The samples of this name with these labels, by the values of all labels but `process`."""
    registry.parts.metrics._read_at = float("-inf")  # as five seconds later
    families = parsed(registry.get("/metrics"))
    return {
        tuple(s.labels[key] for key in _KEYS if key in s.labels): s.value
        for family in families.values()
        for s in family.samples
        if s.name == name and wanted.items() <= s.labels.items()
    }


def change(registry: Registry, job: dict[str, Any], **values: Any) -> None:
    """Write into a job's row."""
    row = job["id"].removeprefix("chatcmpl-")
    with registry.database.write() as tx:
        tx.execute(sa.update(chat_job).where(chat_job.c.id == row).values(values))


def with_token(registry: Registry) -> Client:
    """A client of the same registry where the metrics have a token."""
    parts = replace(registry.parts, settings=replace(registry.parts.settings, metrics_token=TOKEN))
    return Client(RequestIds(create_app(parts), parts.figures))


def test_metrics_are_for_admins(registry: Registry) -> None:
    assert registry.call("GET", "/metrics", who="").status_code == 401
    assert registry.get("/metrics", who="ann").status_code == 403
    assert registry.get("/metrics").headers["Cache-Control"] == "no-store"


def test_the_token_opens_the_metrics_and_nothing_else(registry: Registry) -> None:
    client = with_token(registry)
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    assert client.get("/metrics", headers=bearer).status_code == 200
    assert client.get("/v1/models", headers=bearer).status_code == 401
    assert client.get("/metrics", headers={"Authorization": "Bearer another"}).status_code == 401
    assert client.get("/metrics", headers={"Authorization": f"Basic {TOKEN}"}).status_code == 401
    admin = {"Authorization": f"Bearer {registry.keys['admin']}"}
    assert client.get("/metrics", headers=admin).status_code == 200


def test_every_fact_is_there_under_its_name_and_kind(registry: Registry) -> None:
    registry.add()
    families = parsed(registry.get("/metrics"))
    for name, (kind, _, text) in SHOWN.items():
        family = families[name.removesuffix("_total")]
        assert (family.type, family.documentation) == (kind, text)
    assert UP.keys() - {"dragoman_event_stream_lag"} <= families.keys()  # there is no Redis here


def test_names_follow_the_rules_of_the_field(registry: Registry) -> None:
    """https://prometheus.io/docs/practices/naming/: base units last, `_total` on counters only."""
    registry.post(CHAT, {"model": "nobody/x", "messages": []})
    for family in parsed(registry.get("/metrics")).values():
        assert re.fullmatch(r"(dragoman|process)(_[a-z0-9]+)+", family.name)
        assert not re.search(r"_(ms|milliseconds|minutes|kb|mb|count)$", family.name)
        assert not family.name.endswith("_total"), "the parser takes it from counters"
        if family.type == "histogram":
            assert family.name.endswith("_seconds")


def test_jobs_are_told_by_provider_tier_and_state(registry: Registry, slug: str) -> None:
    first, *_ = [registry.submit(f"{slug}/x")["id"] for _ in range(3)]
    registry.submit(f"{slug}/x", service_tier="flex")
    queued = {(slug, "default", "queued"): 3, (slug, "flex", "queued"): 1}
    assert samples(registry, "dragoman_jobs", provider=slug) == queued
    registry.claim(first)  # and with it all that wait
    running = {(slug, "default", "in_progress"): 3, (slug, "flex", "in_progress"): 1}
    assert samples(registry, "dragoman_jobs", provider=slug) == running
    accepted = samples(registry, "dragoman_jobs_accepted_total", provider=slug)
    assert accepted == {(slug, "default", "background"): 3, (slug, "flex", "background"): 1}


def test_the_oldest_queued_job_is_as_old_as_its_id(registry: Registry, slug: str) -> None:
    registry.submit(f"{slug}/x")
    (age,) = samples(registry, "dragoman_oldest_queued_job_age_seconds", provider=slug).values()
    assert 0 <= age < 30


def test_jobs_of_a_deleted_provider_go_under_a_name_that_is_no_slug(
    registry: Registry, slug: str
) -> None:
    change(registry, registry.submit(f"{slug}/x"), provider_id="prov_gone")
    found = samples(registry, "dragoman_jobs", provider="(deleted)")
    assert found["(deleted)", "default", "queued"] >= 1


def test_a_job_that_outlived_its_deadline_by_a_minute_is_counted(
    registry: Registry, slug: str
) -> None:
    job = registry.submit(f"{slug}/x")
    before = samples(registry, "dragoman_jobs_past_deadline")[()]
    for passed, more in ((30, 0), (90, 1)):
        change(registry, job, deadline=time.time() - passed)
        assert samples(registry, "dragoman_jobs_past_deadline")[()] == before + more


def test_a_gate_is_closed_for_the_revision_that_closed_it(registry: Registry) -> None:
    document = registry.add()
    slug = document["slug"]
    assert samples(registry, "dragoman_provider_gate_closed", provider=slug) == {(slug,): 0}
    registry.gate(document["id"], GateReason.PARKED, time.time() + 60)
    assert samples(registry, "dragoman_provider_gate_closed", provider=slug) == {(slug,): 1}
    registry.call("PATCH", f"/v1/providers/{slug}", {"endpoint": "http://10.0.0.9:1/v1"})
    assert samples(registry, "dragoman_provider_gate_closed", provider=slug) == {(slug,): 0}


def test_providers_are_told_with_status_models_and_what_is_due(registry: Registry) -> None:
    document = registry.add()
    slug = document["slug"]
    assert samples(registry, "dragoman_provider_status", provider=slug) == {(slug, "pending"): 1}
    registry.discovered(document["id"], "a", "b", status="loading")
    assert samples(registry, "dragoman_provider_status", provider=slug) == {(slug, "loading"): 1}
    assert samples(registry, "dragoman_provider_models", provider=slug) == {(slug,): 2}
    name = "dragoman_provider_last_ok_timestamp_seconds"
    assert samples(registry, name, provider=slug) == {(slug,): 50.9}
    name = "dragoman_provider_check_overdue_seconds"
    assert samples(registry, name, provider=slug)[slug,] > 1e9  # since 1970
    before = samples(registry, "dragoman_providers")
    registry.disable(document["id"])
    assert samples(registry, name, provider=slug) == {}
    after = samples(registry, "dragoman_providers")
    assert (after["true",], after["false",]) == (before["true",] - 1, before["false",] + 1)


def test_workers_are_alive_late_or_suspect(registry: Registry) -> None:
    before = samples(registry, "dragoman_chat_workers")
    now = time.time()
    lives = {"alive": (now + 60, None), "late": (now - 60, None), "suspect": (now - 60, now)}
    with registry.database.write() as tx:
        for state, (until, suspect) in lives.items():
            row: dict[str, Any] = {"host": "h", "pid": 1, "started_at": now, "lease_seconds": 60.0}
            row |= {"id": f"wrk_{state}", "lease_until": until, "suspect_since": suspect}
            tx.execute(sa.insert(worker).values(row))
    found = samples(registry, "dragoman_chat_workers")
    with registry.database.write() as tx:
        tx.execute(sa.delete(worker).where(worker.c.id.in_([f"wrk_{state}" for state in lives])))
    assert found == {state: count + 1 for state, count in before.items()}


def test_webhooks_are_told_with_how_long_they_are_due(registry: Registry) -> None:
    before = samples(registry, "dragoman_webhooks_pending")[()]
    now = time.time()
    with registry.database.write() as tx:
        for number, next_at in enumerate((now - 1e6, now + 100)):
            row: dict[str, Any] = {
                "id": f"evt_{number}",
                "job_id": f"{number}",
                "type": "t",
                "status": "pending",
            }
            row |= {"next_at": next_at, "created_at": now}
            tx.execute(sa.insert(webhook_delivery).values(row))
    pending = samples(registry, "dragoman_webhooks_pending")[()]
    overdue = samples(registry, "dragoman_webhooks_overdue_seconds")[()]
    with registry.database.write() as tx:
        tx.execute(sa.delete(webhook_delivery).where(webhook_delivery.c.id.in_(["evt_0", "evt_1"])))
    assert pending == before + 2
    assert 1e6 <= overdue < 1e6 + 60


def test_requests_and_their_errors_are_counted_by_route_and_code(registry: Registry) -> None:
    route = f"{CHAT}/<job_id>"
    requests, problems = "dragoman_http_requests_total", "dragoman_http_problems_total"
    before = samples(registry, requests), samples(registry, problems)
    registry.get(f"{CHAT}/chatcmpl-00000000000000000000000000")
    registry.get("/nowhere/at/all")
    registry.call("BREW", "/v1/models")
    after = samples(registry, requests), samples(registry, problems)

    def more(which: int, *labels: str) -> float:
        return after[which][labels] - before[which].get(labels, 0)

    assert more(0, "404", route) == 1
    assert more(0, "404", "unmatched") == 1
    assert more(0, "405", "unmatched") == 1
    assert more(1, "not_found") == 2
    assert more(1, "method_not_allowed") == 1


@pytest.fixture
def away(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> Registry:
    """The registry while its database does not answer."""

    def refuse(_work: object) -> None:
        raise StoreUnavailable("The database does not answer.", retry_after=1)

    monkeypatch.setattr(registry.parts.transactions, "read", refuse)
    return registry


def test_the_token_works_while_the_database_is_away_and_no_old_fact_is_told(
    away: Registry,
) -> None:
    client = with_token(away)
    away.parts.metrics._read_at = float("-inf")
    families = parsed(client.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"}))
    (up,) = families["dragoman_database_up"].samples
    assert up.value == 0
    assert "dragoman_jobs" not in families
    assert "process_resident_memory_bytes" in families
