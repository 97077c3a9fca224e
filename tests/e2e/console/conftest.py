"""A browser for the console's tests; it needs Debian's chromium."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import httpx
import pytest
from playwright.sync_api import Browser, ViewportSize, expect, sync_playwright

from tests.e2e.console.visitor import DEADLINE_MS, WIDE, Visitor
from tests.system import System

ARGUMENTS = (
    "--no-sandbox",  # CI runs as root
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

Visit = Callable[..., Visitor]


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Headless Chromium; skips without one, fails where CI=true."""
    chromium = shutil.which("chromium")
    if chromium is None:
        if os.environ.get("CI") == "true":
            pytest.fail("CI must not skip this: chromium is not installed")
        pytest.skip("chromium is not installed: apt-get install chromium")
    expect.set_options(timeout=DEADLINE_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(ARGUMENTS))
        yield browser
        browser.close()


@pytest.fixture
def visit(browser: Browser, system: System) -> Iterator[Visit]:
    """Makes visitors; at the end of the test none of them may have seen a fault."""
    with ExitStack() as visits:
        made: list[Visitor] = []

        def visit(viewport: ViewportSize = WIDE) -> Visitor:
            visitor = Visitor(browser, system.url, viewport)
            visits.callback(visitor.close)
            made.append(visitor)
            return visitor

        yield visit
        for visitor in made:
            visitor.check()


@pytest.fixture(scope="package")
def admins_session(system: System) -> str:
    """One session of an admin for all tests that do not end it."""
    with httpx.Client(base_url=system.url, trust_env=False) as client:
        answer = client.post("/login", data={"key": system.admin_key})
        assert answer.status_code == 303, answer.text
        return str(answer.cookies["dragoman_session"])


@pytest.fixture
def admin(visit: Visit, admins_session: str) -> Visitor:
    """An admin, signed in, on no page yet."""
    visitor = visit()
    visitor.enter(admins_session)
    return visitor
