"""An argument of a query comes once, unless it is documented as a list."""

from __future__ import annotations

import pytest

from tests.contract.registry.conftest import CHAT, Registry, refused

PROVIDERS, MODELS = "/v1/providers", "/v1/models"


@pytest.mark.parametrize(
    ("path", "query", "param"),
    [
        (PROVIDERS, "limit=1&limit=2", "limit"),
        (PROVIDERS, "status=ok&status=ok", "status"),
        (MODELS, "tag=a&tag=b", "tag"),
        (CHAT, "status=failed&status=cancelled", "status"),
        (CHAT, "metadata[run]=1&metadata[run]=2", "metadata[run]"),
        ("/v1/events", "after=1&after=2", "after"),
        ("/v1/usage", "group_by=model&group_by=day", "group_by"),
        ("/v1/audit", "from=1&from=2", "from"),
    ],
)
def test_an_argument_that_comes_twice_is_refused_by_name(
    registry: Registry, path: str, query: str, param: str
) -> None:
    """Which of the two was meant, nobody knows; it was the first, silently."""
    problem = refused(registry.get(f"{path}?{query}"), 400, "invalid_value", param)
    assert problem["detail"] == f"{param}: Expected one value, got 2. Send it once."


def test_a_list_may_come_several_times(registry: Registry) -> None:
    tag, other = registry.name(), registry.name()
    made = registry.add(tags=[tag, other])
    registry.add(tags=[tag])
    found = registry.get(f"{PROVIDERS}?tag={tag}&tag={other}").get_json()["data"]
    assert [one["id"] for one in found] == [made["id"]]
    assert registry.get(f"{CHAT}?metadata[run]=1&metadata[team]=1").status_code == 200


def test_a_name_of_any_length_is_cut(registry: Registry) -> None:
    name = "x" * 1_000
    problem = refused(registry.get(f"{PROVIDERS}?{name}=1&{name}=2"), 400, "invalid_value")
    assert len(problem["detail"]) < 300
