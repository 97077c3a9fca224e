"""One key and one body make one job, however often and in whatever form they are sent."""

from __future__ import annotations

import json
from typing import Any

import gevent
import pytest

from shared.domain import JobState
from shared.store.schema import chat_job
from tests.contract.registry.conftest import CHAT, Registry, chat_body, refused

ANSWER = {"choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi"}}]}


def send(registry: Registry, model: str, key: str, *, who: str = "admin", **fields: Any) -> Any:
    body = chat_body(model, **{"background": True, **fields})
    return registry.post(CHAT, body, who=who, Idempotency_Key=key)


def test_the_same_key_and_body_mean_the_same_job_as_it_is_now(
    registry: Registry, slug: str
) -> None:
    first = send(registry, f"{slug}/m", slug)
    again = send(registry, f"{slug}/m", f'"{slug}"')  # quoted, as the draft writes it
    assert "Idempotent-Replayed" not in first.headers
    assert (again.status_code, again.headers["Idempotent-Replayed"]) == (202, "true")
    assert again.get_json() == first.get_json()
    job_id = first.get_json()["id"]
    registry.completed(job_id, ANSWER)
    ended = send(registry, f"{slug}/m", slug)
    assert (ended.status_code, ended.headers["Idempotent-Replayed"]) == (200, "true")
    assert ended.get_json() == registry.job(job_id)


def test_the_order_and_the_spacing_of_the_body_are_irrelevant(
    registry: Registry, slug: str
) -> None:
    body = chat_body(f"{slug}/m", background=True, metadata={"a": "1", "b": "2"})
    first = registry.post(CHAT, body, Idempotency_Key=slug).get_json()
    turned = {**dict(reversed(body.items())), "metadata": {"b": "2", "a": "1"}}
    spaced = json.dumps(turned, indent=3).encode()
    assert registry.post(CHAT, spaced, Idempotency_Key=slug).get_json()["id"] == first["id"]


@pytest.mark.parametrize(
    "other", [{"temperature": 0}, {"background": False}, {"metadata": {"x": "y"}}]
)
def test_another_body_is_refused_and_never_as_a_conflict(
    registry: Registry, slug: str, other: dict[str, Any]
) -> None:
    send(registry, f"{slug}/m", slug)
    answer = send(registry, f"{slug}/m", slug, **other)
    refused(answer, 422, "idempotency_key_reused", "Idempotency-Key")


def test_keys_belong_to_their_owner(registry: Registry, slug: str) -> None:
    ids = {send(registry, f"{slug}/m", slug, who=who).get_json()["id"] for who in ("ann", "ben")}
    assert len(ids) == 2


def test_a_refused_request_consumes_no_key(registry: Registry, slug: str) -> None:
    refused(send(registry, "nobody/m", slug), 404, "model_not_found")
    assert send(registry, f"{slug}/m", slug).status_code == 202


def test_a_replay_finds_its_job_although_the_provider_is_gone(registry: Registry) -> None:
    made = registry.add()
    job_id = send(registry, f"{made['slug']}/m", made["id"]).get_json()["id"]
    registry.call("DELETE", f"/v1/providers/{made['id']}")
    again = send(registry, f"{made['slug']}/m", made["id"])
    assert (again.status_code, again.get_json()["id"]) == (200, job_id)
    assert again.get_json()["error"]["code"] == "provider_deleted"


def test_a_key_lives_as_long_as_its_job(registry: Registry, slug: str) -> None:
    job_id = send(registry, f"{slug}/m", slug).get_json()["id"]
    registry.call("DELETE", f"{CHAT}/{job_id}")
    fresh = send(registry, f"{slug}/m", slug)
    assert fresh.get_json()["id"] != job_id
    assert "Idempotent-Replayed" not in fresh.headers


@pytest.mark.parametrize("key", ["", " ", "x" * 256, "ä", '"', '""', "a b"])
def test_what_is_no_key_is_refused(registry: Registry, slug: str, key: str) -> None:
    refused(send(registry, f"{slug}/m", key), 400, "invalid_value", "Idempotency-Key")


def test_fifty_at_once_with_one_key_make_one_job(registry: Registry, slug: str) -> None:
    calls = [gevent.spawn(send, registry, f"{slug}/m", slug) for _ in range(50)]
    answers = [call.get(timeout=30) for call in calls]
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.get_json()["id"] for answer in answers}) == 1
    fresh = [a for a in answers if "Idempotent-Replayed" not in a.headers]
    assert len(fresh) == 1


def test_a_plain_call_joins_the_one_under_way_and_both_get_the_answer(
    registry: Registry, slug: str
) -> None:
    calls = [gevent.spawn(send, registry, f"{slug}/m", slug, background=False) for _ in range(2)]
    with gevent.Timeout(10):
        while len(registry.parts.waiting._waits) < 1 or not (
            claimed := registry.claim(*(f"chatcmpl-{i}" for i in registry.parts.waiting._waits))
        ):
            gevent.sleep(0.005)
        registry.finish(claimed[0], JobState.COMPLETED, result=ANSWER)
        while not all(call.dead for call in calls):
            registry.parts.waiting.look()
            gevent.sleep(0.01)
    first, second = (call.get() for call in calls)
    assert first.status_code == second.status_code == 200
    assert first.get_json() == second.get_json()
    assert registry.column(chat_job, first.get_json()["id"].removeprefix("chatcmpl-"), "calls") == 1


@pytest.mark.parametrize("form", [{}, {"stream": True}])
def test_a_stop_lets_those_that_joined_a_call_wait_for_its_end_as_well(
    registry: Registry, slug: str, form: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """They were told `deadline_exceeded`, not to be repeated, of a job that completed."""
    parts = registry.parts
    monkeypatch.setattr(parts.streams, "released", False)  # and so again for the tests to come
    send_one = (send, registry, f"{slug}/m", slug)
    calls = [gevent.spawn(*send_one, background=False, **form) for _ in range(2)]
    with gevent.Timeout(10):
        while not any(len(waits) == 2 for waits in parts.waiting._waits.values()):
            gevent.sleep(0.005)
        parts.waiting.release_watchers()
        parts.streams.release()
        gevent.sleep(0.05)  # what is wrongly over is answered at once
        assert not any(call.dead for call in calls)
        (job_id,) = parts.waiting._waits
        (claimed,) = registry.claim(f"chatcmpl-{job_id}")
        registry.finish(claimed, JobState.COMPLETED, result=ANSWER)
        while not all(call.dead for call in calls):
            parts.waiting.look()
            gevent.sleep(0.01)
    assert [call.get().status_code for call in calls] == [200, 200]
    assert all(b'"Hi"' in call.get().data for call in calls)


def test_a_plain_call_repeats_the_failure_of_its_job(registry: Registry, slug: str) -> None:
    job_id = send(registry, f"{slug}/m", slug).get_json()["id"]
    registry.post(f"{CHAT}/{job_id}/cancel", b"")
    # The same body; how to wait is said by headers, which are no part of the fingerprint.
    again = registry.post(
        CHAT, chat_body(f"{slug}/m", background=True), Idempotency_Key=slug, Prefer="wait=1"
    )
    assert (again.status_code, again.get_json()["status"]) == (200, "cancelled")
