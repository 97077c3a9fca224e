"""The page `/docs` in a browser: wide and on a phone, light and dark, by keyboard alone."""

from __future__ import annotations

import pytest
from playwright.sync_api import ViewportSize, expect

from tests.e2e.console.conftest import Visit
from tests.e2e.console.visitor import PHONE, WIDE


@pytest.mark.parametrize("viewport", [WIDE, PHONE], ids=["wide", "phone"])
def test_the_reference_is_whole_for_everybody(visit: Visit, viewport: ViewportSize) -> None:
    visitor = visit(viewport)
    page = visitor.page
    page.goto("/docs")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    contents = page.get_by_role("navigation", name="Contents")
    contents.get_by_text("chat", exact=True).click()
    contents.get_by_role("link", name="POST /v1/chat/completions", exact=True).click()
    call = page.get_by_role("region", name="POST /v1/chat/completions", exact=True)
    expect(call).to_be_in_viewport()
    expect(call).to_contain_text("Idempotency-Key")
    visitor.look("reference")
