"""A person at the console: a page of a browser, and whatever must never happen on one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, ViewportSize

ARTIFACTS = Path(__file__).parents[2] / "artifacts" / "console"
WIDE = ViewportSize(width=1280, height=860)
LAPTOP = ViewportSize(width=1280, height=800)
PHONE = ViewportSize(width=390, height=844)
DEADLINE_MS = 30_000  # of whatever a person waits for; two cores may be busy with more than us
GRAVE = ("serious", "critical")
# Told by the page itself, because a violation is no message of the console in every browser.
_WATCH_POLICY = """
addEventListener("securitypolicyviolation", (event) =>
  console.error(`policy: ${event.violatedDirective} ${event.blockedURI}`));
"""
_REFUSED = re.compile(
    r"Failed to load resource: (the server responded with a status of 4\d\d|net::ERR_FAILED)"
)


class Visitor:
    """One browser context; `faults` are the errors, violations and foreign requests so far."""

    def __init__(self, browser: Browser, url: str, viewport: ViewportSize = WIDE) -> None:
        self.url = url
        self.faults: list[str] = []
        self._refusals_expected = False
        self.context = browser.new_context(base_url=url, viewport=viewport, color_scheme="light")
        self.context.set_default_timeout(DEADLINE_MS)
        self.context.add_init_script(_WATCH_POLICY)
        self.page: Page = self.context.new_page()
        self.page.on("console", self._on_console)
        self.page.on("pageerror", lambda error: self.faults.append(f"uncaught: {error}"))
        self.page.on("request", self._on_request)

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type not in ("error", "warning"):
            return
        if self._refusals_expected and _REFUSED.match(message.text):
            return
        self.faults.append(f"console {message.type}: {message.text}")

    def _on_request(self, request: Request) -> None:
        if not request.url.startswith((self.url, "data:")):
            self.faults.append(f"a request to another host: {request.url}")

    @contextmanager
    def refusals(self) -> Iterator[None]:
        """Here a 4xx or a lost connection is wanted; browsers write each to their console."""
        self._refusals_expected = True
        yield
        self._refusals_expected = False

    def sign_in(self, key: str, to: str = "/providers") -> Page:
        """Sign in as people do, and stand on the page `to`."""
        self.page.goto(f"/login?next={to}")
        self.page.get_by_role("textbox", name="API key").fill(key)
        self.page.keyboard.press("Enter")
        self.page.wait_for_url(f"{self.url}{to}")
        return self.page

    def enter(self, session: str) -> Page:
        """Have this session already; the page is still empty."""
        self.context.add_cookies([{"name": "dragoman_session", "value": session, "url": self.url}])
        return self.page

    def look(self, name: str) -> None:
        """Keep the page light and dark, and hold it against axe-core; fails on a grave fault.

        Dark differs in its colours only, so a phone's is not judged again.
        """
        ARTIFACTS.mkdir(parents=True, exist_ok=True)
        width = "phone" if self.page.viewport_size == PHONE else "wide"
        for scheme in ("light", "dark"):
            self.page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            picture = ARTIFACTS / f"{name}-{width}-{scheme}.png"
            self.page.screenshot(path=picture, full_page=True, animations="disabled")
            if (width, scheme) == ("phone", "dark"):
                continue
            found = [told for told in _violations(self.page) if told]
            assert not found, f"{name}, {scheme}:\n" + "\n".join(found)
        self.page.emulate_media(color_scheme="light")
        too_wide = self.page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        assert too_wide <= 0, f"{name} is {too_wide} px wider than the screen"
        self.check()

    def check(self) -> None:
        """Fail on whatever must never happen."""
        assert not self.faults, "\n".join(self.faults)

    def close(self) -> None:
        """End the visit."""
        self.context.close()


def _violations(page: Page) -> Iterator[str]:
    results: dict[str, Any] = Axe().run(page).response
    for violation in results["violations"]:
        if violation["impact"] in GRAVE:
            places = [f"{node['target']} {node['html'][:160]}" for node in violation["nodes"][:3]]
            yield f"{violation['id']} ({violation['impact']}): {violation['help']}: {places}"
