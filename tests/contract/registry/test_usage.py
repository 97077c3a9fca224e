"""`/v1/usage`: totals by group, an admin's of all, others' of theirs."""

from __future__ import annotations

import time
from typing import Any

import pytest

from shared.domain import JobState
from shared.store.jobs import Evidence
from tests.contract.registry.browser import Browser
from tests.contract.registry.conftest import Registry, refused

USAGE = "/v1/usage"


def use(registry: Registry, slug: str, *, who: str, tokens: int | None) -> None:
    """One job of this owner that took half a second."""
    job = registry.submit(f"{slug}/m", who=who)
    (claimed,) = registry.claim(job["id"])
    evidence = Evidence(
        chat_url="http://10.0.0.1/v1/chat/completions",
        key_fingerprint=None,
        provider_revision=1,
        started_at=100.0,
        ended_at=100.5,
        calls=1,
        outcome="completed",
        sent=True,
        prompt_tokens=tokens,
        completion_tokens=tokens,
    )
    registry.finish(claimed, JobState.COMPLETED, evidence=evidence, result={"choices": []})


def shown(registry: Registry, query: str = "", *, who: str = "admin") -> dict[str, Any]:
    answer = registry.get(f"{USAGE}?{query}", who=who)
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = answer.get_json()
    return document


def of_provider(registry: Registry, slug: str, query: str, **options: Any) -> list[dict[str, Any]]:
    found = shown(registry, query, **options)["data"]
    return [row for row in found if row["provider"].get("slug") == slug]


def test_a_provider_that_its_user_may_no_longer_see_keeps_the_name_by_which_he_knew_it(
    registry: Registry, slug: str
) -> None:
    use(registry, slug, who="ann", tokens=5)
    hidden = {"visibility": "admins", "name": f"Secret {slug}"}
    assert registry.call("PATCH", f"/v1/providers/{slug}", hidden).status_code == 200
    (row,) = of_provider(registry, slug, "", who="ann")
    assert row["provider"]["name"] == slug
    page = Browser(registry).sign_in("ann").get("/usage").text
    assert slug in page
    assert f"Secret {slug}" not in page
    (row,) = of_provider(registry, slug, "")
    assert row["provider"]["name"] == f"Secret {slug}"


def test_totals_are_shown_by_group_with_names_and_latencies(registry: Registry, slug: str) -> None:
    use(registry, slug, who="ann", tokens=5)
    use(registry, slug, who="ben", tokens=None)
    (row,) = of_provider(registry, slug, "")
    assert row["provider"]["name"]
    assert (row["requests"], row["failures"], row["unknown_usage"]) == (2, 0, 1)
    assert (row["prompt_tokens"], row["completion_tokens"], row["total_tokens"]) == (5, 5, 10)
    assert 0.35 < row["latency_seconds"]["p50"] <= 0.5
    rows = of_provider(registry, slug, "group_by=provider,owner,key,model,day")
    assert [(r["owner"], r["requests"], r["model"]) for r in rows] == [
        ("ann", 1, f"{slug}/m"),
        ("ben", 1, f"{slug}/m"),
    ]
    assert rows[0]["key"]["name"] == "ann"
    assert rows[0]["day"] == time.strftime("%Y-%m-%d", time.gmtime())


def test_an_owner_sees_only_what_is_theirs(registry: Registry, slug: str) -> None:
    use(registry, slug, who="ann", tokens=5)
    assert of_provider(registry, slug, "", who="ben") == []
    assert of_provider(registry, slug, "", who="ann")[0]["requests"] == 1
    groups = shown(registry, "group_by=owner", who="ann")["data"]
    assert [row["owner"] for row in groups] in ([], ["ann"])


def test_a_period_holds_whole_hours(registry: Registry, slug: str) -> None:
    use(registry, slug, who="ann", tokens=5)
    now = int(time.time())
    document = shown(registry, f"from={now - 7200}&to={now - 3600}")
    assert document["from"] % 3600 == document["to"] % 3600 == 0
    begin = (now // 3600 + 1) * 3600
    assert of_provider(registry, slug, f"from={begin}&to={begin + 1}") == []


@pytest.mark.parametrize(
    ("query", "code", "param"),
    [
        ("group_by=colour", "invalid_value", "group_by"),
        ("group_by=day,day", "invalid_value", "group_by"),
        ("from=yesterday", "invalid_value", "from"),
        ("from=5&to=5", "invalid_value", "from"),
        ("to=-1", "invalid_value", "to"),
        ("limit=0", "invalid_value", "limit"),
        ("limit=1001", "invalid_value", "limit"),
        ("after=x", "invalid_value", "after"),
        ("after=WzFd", "invalid_value", "after"),  # [1], where a name is expected
        ("after=W10", "invalid_value", "after"),  # []
        ("colour=red", "unknown_field", "colour"),
    ],
)
def test_an_argument_that_does_not_fit_is_named(
    registry: Registry, query: str, code: str, param: str
) -> None:
    refused(registry.get(f"{USAGE}?{query}"), 400, code, param)


def test_groups_come_in_pages_with_the_total_of_all(registry: Registry, slug: str) -> None:
    for owner in ("ann", "ben"):
        use(registry, slug, who=owner, tokens=5)
    query = "group_by=provider,owner,day"
    whole, pages = shown(registry, query), []
    link = f"{USAGE}?{query}&limit=1"
    while link:
        answer = registry.get(link)
        page = answer.get_json()
        assert page["total"] == whole["total"]
        assert page["has_more"] is (page["next"] is not None) is ("Link" in answer.headers)
        pages += page["data"]
        link = answer.headers.get("Link", "").partition(">")[0].lstrip("<")
    assert pages == whole["data"]
    assert len(pages) >= 2
