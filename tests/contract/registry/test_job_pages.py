"""The pages of jobs as HTML: whose they show, by what they filter, every state of one."""

from __future__ import annotations

import html
import re
from typing import Any

import pytest

from services.registry.chat.jobs import Jobs
from shared.domain import GateReason, JobState
from shared.store.jobs import Evidence, Page
from tests.contract.registry.browser import Browser
from tests.contract.registry.conftest import Registry
from tests.contract.registry.test_provider_pages import SCRIPT, shown

HREF = re.compile(r'href="/jobs/(chatcmpl-[0-9A-Z]{26})"')


@pytest.fixture
def admin(registry: Registry) -> Browser:
    return Browser(registry).sign_in("admin")


@pytest.fixture
def ann(registry: Registry) -> Browser:
    return Browser(registry).sign_in("ann")


def listed(browser: Browser, query: str) -> list[str]:
    """The ids that the list shows, in its order."""
    return HREF.findall(browser.get(f"/jobs?{query}").text)


def answered(registry: Registry, job: dict[str, Any], *messages: Any, **result: Any) -> None:
    """The job ends with these messages as its choices."""
    choices = [
        {"index": at, "message": message, "finish_reason": "stop"}
        for at, message in enumerate(messages)
    ]
    registry.completed(job["id"], {"choices": choices, **result})


def test_the_list_filters_newest_first_and_shows_members_their_own(
    registry: Registry, slug: str, admin: Browser, ann: Browser
) -> None:
    anns = [registry.submit(f"{slug}/m", who="ann", metadata={"k": "a=b"})["id"] for _ in (1, 2)]
    bens = registry.submit(f"{slug}/other", who="ben")["id"]
    assert listed(ann, f"provider={slug}") == anns[::-1]
    assert listed(admin, f"provider={slug}") == [bens, *anns[::-1]]
    assert listed(admin, f"provider={slug}&owner=ann&status=&model=") == anns[::-1]
    assert listed(ann, f"provider={slug}&owner=ben") == anns[::-1]  # not an admin's: no effect
    assert listed(admin, f"provider={slug}&model={slug}/other") == [bens]
    assert listed(admin, f"provider={slug}&metadata=k%3Da%3Db") == anns[::-1]
    assert listed(admin, f"provider={slug}&status=completed") == []
    answered(registry, {"id": anns[0]}, {"content": "x"})
    assert listed(admin, f"provider={slug}&status=completed") == [anns[0]]
    assert "No job matches" in shown(ann, f"/jobs?provider={slug}&status=failed")


def test_the_list_pages_and_keeps_its_filters(registry: Registry, slug: str, ann: Browser) -> None:
    jobs = [registry.submit(f"{slug}/m", who="ann")["id"] for _ in range(3)]
    first = ann.get(f"/jobs?provider={slug}&limit=2").text
    (following,) = re.findall(r'href="([^"]+)" rel="next"', first)
    assert listed(ann, html.unescape(following).partition("?")[2]) == jobs[:1]
    assert f"provider={slug}" in html.unescape(following)


def test_filters_that_fit_none_of_many_jobs_lead_on(
    ann: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    bare = "01J00000000000000000000000"
    monkeypatch.setattr(Jobs, "look", lambda *_, **__: ([], Page([], True, bare)))
    text = ann.get("/jobs?model=x/y").text
    (following,) = re.findall(r'href="([^"]+)" rel="next"', text)
    assert html.unescape(following) == f"/jobs?model=x%2Fy&after=chatcmpl-{bare}"
    assert "There are more" in text


def test_without_any_job_the_list_says_how_to_make_one(
    ann: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Jobs, "look", lambda *_, **__: ([], Page([], False)))
    assert "No jobs yet" in shown(ann, "/jobs")


def test_a_filter_that_cannot_be_is_refused_on_a_page(ann: Browser) -> None:
    for query in ("status=fine", "metadata=nothing", "owner=Not%20One", "after=x", "colour=red"):
        answer = ann.get(f"/jobs?{query}")
        assert (answer.status_code, answer.mimetype) == (400, "text/html"), query


def test_a_job_shows_what_was_asked_what_came_and_the_evidence(
    registry: Registry, slug: str, ann: Browser
) -> None:
    call = {"function": {"name": "look", "arguments": '{"up": 1}'}}
    job = registry.submit(
        f"{slug}/m",
        who="ann",
        messages=[
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": [{"type": "text", "text": "See"}, {"type": "image_url"}]},
        ],
        temperature=0.25,
        metadata={"run": "42"},
    )
    (claimed,) = registry.claim(job["id"])
    evidence = Evidence(
        chat_url="http://10.0.0.1/v1/chat/completions",
        key_fingerprint="3fa1b2c4",
        provider_revision=1,
        started_at=100.0,
        ended_at=101.5,
        calls=1,
        outcome="completed",
        sent=True,
        connect_seconds=0.012,
        first_byte_seconds=0.3,
        upstream_status=200,
        upstream_request_id="up-7",
        prompt_tokens=1234,
        completion_tokens=5,
    )
    message = {"content": "Said **so**", "reasoning_content": "Thought", "tool_calls": [call]}
    registry.finish(
        claimed,
        JobState.COMPLETED,
        evidence=evidence,
        result={
            "choices": [{"message": message, "finish_reason": "length"}, {"message": {}}],
            "usage": {"prompt_tokens": 1234, "completion_tokens": 5},
        },
    )
    text = shown(ann, f"/jobs/{job['id']}")
    for part in (
        *("Be brief.", "See [image_url, not shown]", "temperature 0.25", "run 42"),
        *("Said **so**", "Thought", 'look({"up": 1})', "Choice 2", "Completed"),
        *("12 ms", "0.30 s", "1.50 s", "up-7", "3fa1b2c4", "1,234 in, 5 out"),
    ):
        assert part in text, part
    assert 'data-finish-reason="length"' in ann.get(f"/jobs/{job['id']}").text
    assert "data-cancel" not in ann.get(f"/jobs/{job['id']}").text


@pytest.mark.parametrize(
    ("reason", "says"),
    [
        (GateReason.RETRY_AFTER, "asked for a pause"),
        (GateReason.PARKED, "does not answer"),
        (None, "The provider is disabled"),
    ],
)
def test_a_job_that_waits_says_why(
    registry: Registry, ann: Browser, reason: GateReason | None, says: str
) -> None:
    provider = registry.add()
    job = registry.submit(f"{provider['slug']}/m", who="ann")
    if reason is None:
        registry.disable(provider["id"])
    else:
        registry.gate(provider["id"], reason, registry.parts.now() + 60)
    assert says in shown(ann, f"/jobs/{job['id']}")
    assert says in shown(ann, f"/jobs?provider={provider['slug']}")
    assert "data-cancel" in ann.get(f"/jobs/{job['id']}").text


def test_a_failed_job_tells_its_error_and_whether_it_was_billed(
    registry: Registry, slug: str, ann: Browser
) -> None:
    job = registry.submit(f"{slug}/m", who="ann")
    (claimed,) = registry.claim(job["id"])
    error = {
        "message": f"Expected an answer, got {SCRIPT}.",
        "type": "upstream_error",
        "code": "upstream_server_error",
        "param": None,
        "may_have_been_billed": True,
    }
    changes = {"error_code": "upstream_server_error", "may_have_been_billed": True}
    registry.finish(claimed, JobState.FAILED, error=error, **changes)
    text = shown(ann, f"/jobs/{job['id']}")
    assert "Failed: upstream_server_error" in text
    assert f"got {SCRIPT}." in text
    assert "may have billed this call" in text


def test_script_in_any_part_of_a_job_stays_text(
    registry: Registry, slug: str, admin: Browser
) -> None:
    job = registry.submit(
        f"{slug}/{SCRIPT}",
        messages=[{"role": SCRIPT, "content": SCRIPT}],
        metadata={SCRIPT[:60]: SCRIPT},
        user=SCRIPT,
    )
    call = {"function": {"name": SCRIPT, "arguments": SCRIPT}}
    message = {"content": SCRIPT, "reasoning": SCRIPT, "tool_calls": [call, "x"]}
    answered(registry, job, message, 7, usage=SCRIPT)
    for path in (f"/jobs/{job['id']}", f"/jobs?provider={slug}"):
        assert "<script>alert" not in admin.get(path).text
    assert shown(admin, f"/jobs/{job['id']}").count(SCRIPT) >= 6


def test_what_a_provider_sent_of_odd_types_does_not_take_the_page_away(
    registry: Registry, slug: str, ann: Browser
) -> None:
    for result in (
        {"choices": None},
        {"choices": "x", "usage": [1]},
        {"choices": [{"message": {"content": {"a": 1}, "tool_calls": {"b": 2}}}]},
        {"choices": [{"message": {"content": [1, {"type": 2, "text": 3}]}, "finish_reason": 4}]},
        {"choices": [], "usage": {"prompt_tokens": 10**400, "completion_tokens": True}},
        {"choices": [], "usage": {"prompt_tokens": -1, "completion_tokens": 1e308}},
    ):
        job = registry.submit(f"{slug}/m", who="ann")
        registry.completed(job["id"], result)
        assert ann.get(f"/jobs/{job['id']}").status_code == 200, result
