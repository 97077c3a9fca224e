"""One scrape of a running system shows every process of it, and nothing that is secret."""

from __future__ import annotations

import signal

import pytest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from tests.api import CHAT, Api
from tests.eventually import eventually
from tests.simulators import CountingSimulator, Running, running
from tests.system import System

KEY = "sk-canary-of-the-provider"
PROMPT = "canary-of-the-conversation"
OWNER = "canary-of-the-owner"
MODEL = "canary-of-the-model"
SLOW = 8.0  # seconds: two snapshots of a worker, and some


def scraped(api: Api) -> list[Sample]:
    """Every sample, as Prometheus would read it."""
    answer = api.http.get("/metrics")
    assert answer.status_code == 200, answer.text
    return [s for family in text_string_to_metric_families(answer.text) for s in family.samples]


def total(samples: list[Sample], name: str, **wanted: str) -> float:
    return sum(s.value for s in samples if s.name == name and wanted.items() <= s.labels.items())


def processes(samples: list[Sample]) -> set[str]:
    return {s.labels["process"] for s in samples if s.name == "process_cpu_seconds_total"}


def test_one_scrape_has_every_process_and_counts_never_fall(
    system: System, api: Api, upstream: Running
) -> None:
    """Whichever registry process answers: there are two, and each asks for itself."""
    api.add_provider("metrics", upstream.url)
    for _ in range(10):
        assert api.chat("metrics/sim-model").status_code == 200
    assert api.chat("metrics/sim-model", sim={"status": 400}).status_code == 400

    def counted() -> list[Sample] | None:
        samples = scraped(api)  # of which each process leaves its own now and then
        called = total(samples, "dragoman_attempts_total", provider="metrics")
        accepted = total(samples, "dragoman_jobs_accepted_total", provider="metrics")
        return samples if called >= 11 and accepted >= 11 else None

    samples = eventually(counted, SLOW, every=0.5)
    expected = {"registry-1", "registry-2", "chat-worker-1", "discovery-worker-1"}
    assert expected <= processes(samples)
    served = total(samples, "dragoman_http_requests_total", route=CHAT, method="POST")
    accepted = total(samples, "dragoman_jobs_accepted_total", provider="metrics")
    assert served >= accepted == 11
    assert total(samples, "dragoman_attempt_duration_seconds_count", provider="metrics") == 11
    assert total(samples, "dragoman_attempt_duration_seconds_bucket", le="+Inf") >= 11
    assert total(samples, "dragoman_database_up") == 1
    assert total(samples, "dragoman_redis_up") == 1
    assert total(samples, "dragoman_chat_workers", state="alive") == 1
    assert total(samples, "dragoman_leader") == 2
    assert total(samples, "dragoman_events_total") >= 1
    assert total(samples, "dragoman_call_slots") > 0
    before = 0.0
    for _ in range(20):
        with Api(system.url, system.admin_key) as other:  # another connection, another process
            now = total(scraped(other), "dragoman_http_requests_total")
        assert now >= before
        before = now


def test_a_killed_worker_is_counted_anew_under_its_old_name(system: System, api: Api) -> None:
    def started() -> float | None:
        samples = scraped(api)
        return total(samples, "process_start_time_seconds", process="chat-worker-1") or None

    before = eventually(started, SLOW, every=0.5)
    system.restarted("chat-worker", system.signal("chat-worker", signal.SIGKILL))

    def again() -> float | None:
        now = started()
        return now if now is not None and now > before else None

    assert eventually(again, 30, every=0.5)
    assert "chat-worker-2" not in processes(scraped(api))


@pytest.fixture
def guarded(system: System, api: Api) -> Api:
    """A caller of an owner whose name is a canary."""
    made = api.http.post("/v1/keys", json={"name": "metrics", "owner": OWNER}).json()
    return Api(system.url, made["key"])


def test_no_key_text_owner_or_model_is_in_the_metrics(
    system: System, api: Api, guarded: Api
) -> None:
    with running(CountingSimulator()) as upstream, guarded as caller:
        api.add_provider("canaries", upstream.url, api_key=KEY, description=PROMPT)
        fields = {"messages": [{"role": "user", "content": PROMPT}], "metadata": {"a": PROMPT}}
        body = {"model": f"canaries/{MODEL}", **fields}
        assert caller.http.post(CHAT, json=body).status_code == 200
        caller.http.get(f"{CHAT}/{PROMPT}")
        caller.http.get(f"/{PROMPT}")
        caller.http.request(PROMPT.upper(), "/v1/models")
        caller.http.get("/v1/models", headers={"x-request-id": PROMPT})

        def counted() -> float:
            return total(scraped(api), "dragoman_attempts_total", provider="canaries")

        eventually(counted, SLOW, every=0.5)
        page = api.http.get("/metrics").text.lower()
        left = b"".join(p.read_bytes() for p in (system.data_dir / "metrics").iterdir()).lower()
        assert "canaries" in page
        assert b"canaries" in left
        for secret in (KEY, PROMPT, OWNER, MODEL, system.admin_key):
            assert secret.lower() not in page
            assert secret.lower().encode() not in left
