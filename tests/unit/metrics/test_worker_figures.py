"""What a chat worker counts of each claim, sweep and webhook."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from services.chat_worker.figures import RELEASED, Figures
from services.chat_worker.outcomes import ABANDONED
from shared.domain import JobState
from shared.store.jobs import ClaimedJob, Evidence, Outcome, Swept, Target

TARGET = Target("prov_1", "acme", "http://x/c", "http://x/m", None, None, {}, 1)
_REST: Any = {
    "request_id": None,
    "request_sealed": "",
    "on_interrupt": "fail",
    "on_unavailable": "wait",
    "interrupts": 0,
    "deadline": 0.0,
    "background": True,
    "owner": "ann",
    "key_id": "key_1",
    "model": "acme/m",
    "stream": False,
    "include_usage": False,
    "publishing": False,
}
JOB = ClaimedJob(id="j", worker_id="w", attempt=1, target=TARGET, created_at=100.0, **_REST)
EVIDENCE = Evidence(
    chat_url="http://x/c",
    key_fingerprint=None,
    provider_revision=1,
    started_at=10.0,
    ended_at=12.0,
    calls=1,
    outcome="completed",
    sent=True,
    first_byte_seconds=0.2,
    prompt_tokens=7,
    completion_tokens=None,
)
OUTCOME = Outcome("j", "w", 1, state=JobState.COMPLETED, evidence=EVIDENCE)


@pytest.fixture
def figures() -> Figures:
    return Figures()


def value(figures: Figures, name: str, **labels: str) -> float | None:
    return figures.registry.get_sample_value(f"dragoman_{name}", labels)


def test_an_attempt_is_counted_with_its_time_and_the_tokens_that_were_told(
    figures: Figures,
) -> None:
    figures.ended(JOB, OUTCOME)
    assert value(figures, "attempts_total", provider="acme", outcome="completed") == 1
    assert value(figures, "attempt_duration_seconds_sum", provider="acme") == 2.0
    assert value(figures, "attempt_first_byte_seconds_sum", provider="acme") == 0.2
    assert value(figures, "tokens_total", provider="acme", kind="prompt") == 7
    assert value(figures, "tokens_total", provider="acme", kind="completion") is None


def test_a_claim_given_back_and_one_that_was_cancelled_are_no_calls(figures: Figures) -> None:
    figures.ended(JOB, replace(OUTCOME, state=JobState.QUEUED, evidence=None))
    figures.abandoned(JOB)
    for outcome in (RELEASED, ABANDONED):
        assert value(figures, "attempts_total", provider="acme", outcome=outcome) == 1
    assert value(figures, "attempt_duration_seconds_count", provider="acme") is None


def test_a_clock_that_was_set_back_makes_no_time_negative(figures: Figures) -> None:
    figures.begun(JOB, now=90.0)
    figures.ended(JOB, replace(OUTCOME, evidence=replace(EVIDENCE, ended_at=5.0)))
    assert value(figures, "job_wait_seconds_sum") == 0
    assert value(figures, "attempt_duration_seconds_sum", provider="acme") == 0


def test_only_the_first_claim_tells_how_long_a_job_waited(figures: Figures) -> None:
    figures.begun(JOB, now=103.0)
    figures.begun(replace(JOB, attempt=2), now=203.0)
    assert value(figures, "job_wait_seconds_count") == 1
    assert value(figures, "job_wait_seconds_sum") == 3.0


def test_sweeps_fences_and_webhooks_are_counted(figures: Figures) -> None:
    figures.swept(Swept(workers=["w1", "w2"], requeued=["a"], ended=["b", "c"]))
    figures.fenced(4)
    for status in (204, 503, None):
        figures.webhook_tried(status)
    assert value(figures, "dead_workers_total") == 2
    assert value(figures, "jobs_swept_total", became="requeued") == 1
    assert value(figures, "jobs_swept_total", became="ended") == 2
    assert value(figures, "outcomes_fenced_total") == 4
    for name in ("2xx", "5xx", "none"):
        assert value(figures, "webhook_tries_total", status=name) == 1
