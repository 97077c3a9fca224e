"""The README's list of OpenAI's routes, those that are there and those that are not, is true."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from tests.contract.registry.conftest import CHAT, Registry

README: Final = (Path(__file__).parents[3] / "README.md").read_text("utf-8")
FAMILIES: Final = ("/v1/models", CHAT, "/v1/responses")
# Below the paths of those families, but Dragoman's alone.
OURS: Final = {("POST", f"{CHAT}/{{id}}/cancel"), ("GET", f"{CHAT}/{{id}}/attempts")}


def listed(row: str) -> set[tuple[str, str]]:
    """Method and path of each route in the row that begins so."""
    (line,) = re.findall(rf"^\| {row} \|(.*)\|$", README, re.MULTILINE)
    return set(re.findall(r"`([A-Z]+) (/v1/[^`]+)`", line))


def test_the_readme_lists_exactly_those_of_openais_routes_that_are_there(
    registry: Registry,
) -> None:
    there = {
        (method, re.sub(r"<[^>]+>", "{id}", rule.rule))
        for rule in registry.app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        if rule.rule.startswith(FAMILIES)
    }
    assert listed("there") == there - OURS
    assert there > OURS


def test_what_the_readme_says_is_missing_is_missing(registry: Registry) -> None:
    missing = listed("not there: 404 or 405")
    assert len(missing) == 5
    for method, path in missing:
        called = path.replace("{id}", "resp_01J00000000000000000000000")
        answer = registry.call(method, called, {} if method == "POST" else None)
        assert answer.status_code in (404, 405), path
        assert answer.get_json()["error"]["code"] in ("not_found", "method_not_allowed")
