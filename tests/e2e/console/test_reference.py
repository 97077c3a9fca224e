"""The page `/docs` in a browser: wide and on a phone, light and dark, by keyboard alone."""

from __future__ import annotations

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import ViewportSize, expect

from tests.e2e.console.conftest import Visit
from tests.e2e.console.visitor import ARTIFACTS, PHONE, WIDE

# One of each kind of part: the whole page, of 5,500 elements, takes axe-core 14 s.
PARTS = ("header", "nav", "#the-console", "#post-v1-chat-completions", "#Options", "#headers ~ dl")


@pytest.mark.parametrize(
    ("viewport", "scheme"), [(WIDE, "light"), (PHONE, "dark")], ids=["wide", "phone"]
)
def test_the_reference_is_whole_for_everybody(
    visit: Visit, viewport: ViewportSize, scheme: str
) -> None:
    visitor = visit(viewport)
    page = visitor.page
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    page.goto("/docs")
    ground = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    assert (ground == "rgb(19, 20, 18)") == (scheme == "dark")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    contents = page.get_by_role("navigation", name="Contents")
    contents.get_by_text("chat", exact=True).click()
    contents.get_by_role("link", name="POST /v1/chat/completions", exact=True).click()
    call = page.get_by_role("region", name="POST /v1/chat/completions", exact=True)
    expect(call).to_be_in_viewport()
    expect(call).to_contain_text("Idempotency-Key")
    ARTIFACTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=ARTIFACTS / f"reference-{viewport['width']}-{scheme}.png")
    found = Axe().run(page, context={"include": [[part] for part in PARTS]}).response
    assert [one["id"] for one in found["violations"]] == []
    wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert page.evaluate(wide) <= 0
    visitor.check()
