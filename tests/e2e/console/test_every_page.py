"""Every page, light and dark, wide and on a phone: no grave fault for axe-core, none of ours."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import ViewportSize, expect

from tests.e2e.console.conftest import Visit
from tests.e2e.console.visitor import PHONE, WIDE
from tests.simulators import openrouter, running
from tests.system import System

SCRIPT = "<script>document.title='hit'</script>"


@pytest.fixture(scope="module")
def furnished(system: System) -> Iterator[str]:
    """The slug of a provider with a tag, a long description and models."""
    with running(openrouter()) as server:
        made = system.api.add_provider(
            f"{SCRIPT} & a long name",
            f"{server.url}/api/v1",
            api_key="sk-or-v1-0123456789",
            tags=["cloud", "<b>bold"],
            visibility=["research"],
            description=f"Everything that it lists, {'and more ' * 20}{SCRIPT}",
        )
        system.api.discovered(made["id"], "ok", 10)
        yield str(made["slug"])


@pytest.mark.parametrize("viewport", [WIDE, PHONE], ids=["wide", "phone"])
def test_each_page_is_whole_for_everybody(
    visit: Visit, admins_session: str, furnished: str, viewport: ViewportSize
) -> None:
    visitor = visit(viewport)
    page = visitor.page
    page.goto("/login")
    visitor.look("login")
    visitor.enter(admins_session)
    for name, path in (
        ("providers", "/providers"),
        ("provider-new", "/providers/-/new"),
        ("provider", f"/providers/{furnished}"),
        ("models", f"/models?provider={furnished}"),
    ):
        page.goto(path)
        expect(page.locator("h1")).to_be_visible()
        expect(page).not_to_have_title("hit")
        visitor.look(name)
