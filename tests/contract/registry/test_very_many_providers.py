"""With very many providers no page holds all their names: fields look them up instead."""

from __future__ import annotations

import re

import pytest

from services.registry.console import offered
from tests.contract.registry.browser import Browser
from tests.contract.registry.conftest import Registry


@pytest.fixture
def browser(registry: Registry) -> Browser:
    return Browser(registry).sign_in("ann")


@pytest.mark.parametrize("page", ["/jobs", "/models", "/chat"])
def test_a_few_are_offered_by_name_and_of_very_many_none(
    registry: Registry, browser: Browser, monkeypatch: pytest.MonkeyPatch, page: str
) -> None:
    slug = registry.add(tags=["many"])["slug"]
    monkeypatch.setattr(offered, "MOST", 100_000)
    assert f'<option value="{slug}"' in browser.get(page).text
    monkeypatch.setattr(offered, "MOST", 0)
    text = browser.get(page).text
    assert f'<option value="{slug}"' not in text
    assert "data-very-many" in text if page == "/chat" else re.search(r"<input[^>]*data-prov", text)


@pytest.mark.parametrize("page", ["/providers", "/models"])
def test_their_tags_are_typed_then(
    registry: Registry, browser: Browser, monkeypatch: pytest.MonkeyPatch, page: str
) -> None:
    registry.add(tags=["typed-tag"])
    monkeypatch.setattr(offered, "MOST", 100_000)
    assert "<option>typed-tag</option>" in browser.get(page).text
    monkeypatch.setattr(offered, "MOST", 0)
    text = browser.get(f"{page}?tag=typed-tag").text
    assert re.search(r'<input[^>]*name="tag" value="typed-tag"', text)
    assert "<option>typed-tag" not in text


def test_a_typed_filter_stays_typed(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(offered, "MOST", 0)
    text = browser.get("/jobs?provider=typed-slug").text
    assert re.search(r'<input[^>]*name="provider" value="typed-slug"', text)
