"""`Prefer`: who waits for how long, and what is answered then."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import gevent

from tests.contract.registry.conftest import CHAT, Registry, chat_body

ANSWER = {"choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi"}}]}


def while_waiting(registry: Registry, call: Callable[[], Any], act: Callable[[], Any]) -> Any:
    """The answer of `call`, which waits for a job, after `act` and one look at all waits."""
    waiting = gevent.spawn(call)
    with gevent.Timeout(10):
        while not any(w.begun for same in registry.parts.waiting._waits.values() for w in same):
            gevent.sleep(0.005)
        act()
        registry.parts.waiting.look()
        return waiting.get()


def test_respond_async_makes_a_background_job(registry: Registry, slug: str) -> None:
    answer = registry.post(CHAT, chat_body(f"{slug}/m"), Prefer="respond-async")
    assert (answer.status_code, answer.get_json()["background"]) == (202, True)
    assert answer.headers["Preference-Applied"] == "respond-async"


def test_a_wait_that_is_over_is_answered_with_the_job(registry: Registry, slug: str) -> None:
    began = time.monotonic()
    answer = registry.post(CHAT, chat_body(f"{slug}/m"), Prefer="wait=1, respond-async")
    assert time.monotonic() - began >= 1
    assert (answer.status_code, answer.get_json()["status"]) == (202, "queued")
    assert answer.headers["Preference-Applied"] == "respond-async, wait=1"
    assert answer.headers["Location"] == f"{CHAT}/{answer.get_json()['id']}"


def test_a_job_that_ends_in_time_is_answered_whole(registry: Registry, slug: str) -> None:
    def end() -> None:
        (bare,) = registry.parts.waiting._waits
        registry.completed(f"chatcmpl-{bare}", ANSWER)

    answer = while_waiting(
        registry,
        lambda: registry.post(CHAT, chat_body(f"{slug}/m"), Prefer="wait=600"),
        end,
    )
    assert (answer.status_code, answer.get_json()["choices"]) == (200, ANSWER["choices"])
    assert answer.headers["Preference-Applied"] == "wait=60"
    assert "Retry-After" not in answer.headers


def test_a_failed_job_is_still_answered_with_200_where_202_was_possible(
    registry: Registry, slug: str
) -> None:
    def cancel() -> None:
        (bare,) = registry.parts.waiting._waits
        registry.post(f"{CHAT}/chatcmpl-{bare}/cancel", b"")

    answer = while_waiting(
        registry,
        lambda: registry.post(CHAT, chat_body(f"{slug}/m"), Prefer="wait=5"),
        cancel,
    )
    assert (answer.status_code, answer.get_json()["status"]) == (200, "cancelled")


def test_a_read_can_wait_for_the_end(registry: Registry, slug: str) -> None:
    job_id = registry.submit(f"{slug}/m")["id"]
    path = f"{CHAT}/{job_id}"
    answer = while_waiting(
        registry,
        lambda: registry.get(path, Prefer="wait=5"),
        lambda: registry.completed(job_id, ANSWER),
    )
    assert (answer.status_code, answer.get_json()["status"]) == (200, "completed")
    assert answer.headers["Preference-Applied"] == "wait=5"
    at_once = registry.get(path, Prefer="wait=60")
    assert at_once.get_json() == answer.get_json()


def test_with_a_version_any_change_ends_the_wait(registry: Registry, slug: str) -> None:
    job_id = registry.submit(f"{slug}/m")["id"]
    path = f"{CHAT}/{job_id}"
    tag = registry.get(path).headers["ETag"]
    answer = while_waiting(
        registry,
        lambda: registry.get(path, Prefer="wait=5", If_None_Match=tag),
        lambda: registry.claim(job_id),
    )
    assert (answer.status_code, answer.get_json()["status"]) == (200, "in_progress")
    old = registry.get(path, Prefer="wait=5", If_None_Match=tag)
    assert (old.status_code, old.headers["ETag"]) == (200, answer.headers["ETag"])


def test_without_a_change_a_known_version_is_not_sent_again(registry: Registry, slug: str) -> None:
    path = f"{CHAT}/{registry.submit(f'{slug}/m')['id']}"
    tag = registry.get(path).headers["ETag"]
    answer = registry.get(path, Prefer="wait=1", If_None_Match=tag)
    assert (answer.status_code, answer.data) == (304, b"")
    assert answer.headers["Preference-Applied"] == "wait=1"


def test_a_job_deleted_under_a_wait_is_gone(registry: Registry, slug: str) -> None:
    job_id = registry.submit(f"{slug}/m")["id"]
    path = f"{CHAT}/{job_id}"
    answer = while_waiting(
        registry,
        lambda: registry.get(path, Prefer="wait=30"),
        lambda: registry.call("DELETE", path),
    )
    assert answer.status_code == 404
