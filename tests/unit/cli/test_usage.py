"""`usage`: totals as a table."""

from __future__ import annotations

from typing import Any, Final

import httpx

from tests.unit.cli.scene import Scene

SUMS: Final = {
    "requests": 1_234,
    "failures": 1,
    "prompt_tokens": 70,
    "completion_tokens": 30,
    "unknown_usage": 2,
    "total_tokens": 100,
    "latency_seconds": {"p50": 0.25, "p90": None, "p95": 1.5, "p99": None},
}


def used(group_by: str, *groups: dict[str, Any]) -> httpx.Response:
    """The usage of these groups."""
    body = {
        "object": "usage",
        "from": 0,
        "to": 3_600,
        "group_by": group_by.split(","),
        "data": [{**group, **SUMS} for group in groups],
        "total": SUMS,
    }
    return httpx.Response(200, json=body)


def test_usage_names_groups_and_sums_them(scene: Scene) -> None:
    day = {"day": "2026-11-22"}
    acme, gone = {"id": "prov_1", "slug": "acme"}, {"id": "prov_gone"}
    scene.answering(used("provider,day", {"provider": acme, **day}, {"provider": gone, **day}))
    ran = scene.run("usage", "--group-by", "provider,day", "--from", "1795000000")
    lines = [line.split() for line in ran.out.splitlines()]
    assert lines[1][:3] == ["acme", "2026-11-22", "1,234"]
    assert lines[2][0] == "prov_gone"
    assert lines[3][0] == "total"
    assert lines[1][-3:] == ["ms", "1.50", "s"]
    assert scene.requests[0].url.params["from"] == "1795000000"


def test_of_one_name_that_two_had_each_shows_its_id(scene: Scene) -> None:
    deleted, living, other = (
        {"id": f"prov_{number}", "slug": slug}
        for number, slug in enumerate(("acme", "acme", "groq"))
    )
    days = [{"day": "2026-11-22"}, {"day": "2026-11-23"}]
    groups = [{"provider": one, **day} for day in days for one in (deleted, living, other)]
    ran = scene.answering(used("provider,day", *groups)).run("usage", "--group-by", "provider,day")
    named = [line.partition(" 2026")[0].strip() for line in ran.out.splitlines()[1:-1]]
    assert named == ["acme (prov_0)", "acme (prov_1)", "groq"] * 2


def test_of_two_keys_with_one_name_each_shows_its_id(scene: Scene) -> None:
    keys = [{"id": f"key_{owner}", "name": "laptop", "owner": owner} for owner in ("ann", "ben")]
    ran = scene.answering(used("key", *({"key": key} for key in keys))).run("usage")
    assert [line.split()[:2] for line in ran.out.splitlines()[1:-1]] == [
        ["laptop", "(key_ann)"],
        ["laptop", "(key_ben)"],
    ]
