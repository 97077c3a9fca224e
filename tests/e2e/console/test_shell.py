"""What holds on every page: keyboard, theme, phone, sessions that end, pages that stay fresh."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, Request, Route, expect

from tests.api import Api
from tests.e2e.console.conftest import Visit
from tests.e2e.console.visitor import PHONE, Visitor
from tests.system import System

HIDE = """(hidden) => {
  Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
  document.dispatchEvent(new Event("visibilitychange"));
}"""


def is_fragment(request: Request) -> bool:
    return "x-fragment" in request.headers


def test_the_keyboard_alone_reaches_the_content_and_the_theme_stays_as_chosen(
    visit: Visit, system: System
) -> None:
    page = visit().sign_in(system.admin_key)
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    toggle = page.get_by_role("button", name="Dark")
    expect(toggle).to_have_attribute("aria-pressed", "false")
    toggle.focus()
    page.keyboard.press("Space")
    expect(toggle).to_have_attribute("aria-pressed", "true")
    page.reload()
    expect(toggle).to_have_attribute("aria-pressed", "true")
    ground = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    assert sum(map(int, re.findall(r"\d+", ground)[:3])) < 150  # dark, though the system is light
    page.get_by_role("button", name="Sign out").focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/login")


def test_on_a_phone_the_menu_opens_by_a_button_and_closes_by_escape(
    visit: Visit, admins_session: str
) -> None:
    page = visit(PHONE).enter(admins_session)
    page.goto("/providers")
    menu = page.get_by_role("button", name="Menu")
    models = page.get_by_role("link", name="Models", exact=True)
    expect(models).to_be_hidden()
    menu.click()
    expect(menu).to_have_attribute("aria-expanded", "true")
    models.focus()
    page.keyboard.press("Escape")
    expect(models).to_be_hidden()
    expect(menu).to_be_focused()
    menu.click()
    models.click()
    page.wait_for_url("**/models")


def test_a_wrong_key_is_refused_at_its_field(visit: Visit) -> None:
    visitor = visit()
    page = visitor.page
    with visitor.refusals():
        page.goto("/login")
        page.get_by_label("API key").fill("dgm_wrong")
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert")).to_contain_text("Paste the whole key")
    expect(page.get_by_label("API key")).to_have_attribute("aria-invalid", "true")


def test_a_session_that_ends_takes_nothing_of_what_was_typed(
    admin: Visitor, system: System, name: str
) -> None:
    page = admin.page
    page.goto("/providers/-/new")
    page.get_by_label("Endpoint").fill("10.99.0.1:8000")
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_label("Tags").fill("kept over-the-login")
    # What typing asked for is answered: without a session it would open the dialog by itself.
    expect(page.get_by_text("http://10.99.0.1:8000/v1/chat/completions")).to_be_visible()
    admin.context.clear_cookies()
    with admin.refusals():
        page.get_by_role("button", name="Add the provider").click()
        dialog = page.get_by_role("dialog", name="Your session has ended")
        dialog.get_by_label("API key").fill("dgm_wrong")
        page.keyboard.press("Enter")
        expect(dialog.get_by_role("alert")).not_to_be_empty()
        dialog.get_by_label("API key").fill(system.admin_key)
        page.keyboard.press("Enter")
        page.wait_for_url(re.compile(r"/providers/(?!-)"))
    expect(page.locator("h1")).to_have_text(name)
    expect(page.locator("#facts")).to_contain_text("over-the-login")


def test_a_list_grows_by_itself_under_a_search_that_is_being_typed(
    admin: Visitor, api: Api
) -> None:
    page = admin.page
    page.clock.install()
    page.goto("/providers")
    search = page.get_by_label("Search")
    search.fill("growing")
    page.clock.run_for(1_000)
    expect(page).to_have_url(re.compile("q=growing$"))
    expect(page.locator("#providers")).to_contain_text("No provider matches")
    search.press("End")
    api.add_provider("Growing by itself", "10.99.0.2:8000")
    page.clock.run_for(5_000)
    expect(page.locator("#providers")).to_contain_text("Growing by itself")
    expect(search).to_be_focused()
    expect(search).to_have_value("growing")


def test_a_hidden_page_asks_for_nothing_and_catches_up_when_it_is_seen(
    admin: Visitor,
) -> None:
    page = admin.page
    page.clock.install()
    page.goto("/models")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if is_fragment(request) else None)
    with page.expect_request(is_fragment):
        page.clock.run_for(11_000)
    page.evaluate(HIDE, True)
    asked.clear()
    for _ in range(6):
        page.clock.run_for(60_000)
        page.evaluate("fetch('/v1/me', { headers: { 'X-Fragment': 'mark' } }).then(String)")
    assert asked == [f"{admin.url}/v1/me"] * 6
    with page.expect_request(is_fragment):
        page.evaluate(HIDE, False)


def test_what_could_not_be_updated_says_since_when_and_goes_on(admin: Visitor) -> None:
    page = admin.page
    page.clock.install()
    page.goto("/models")
    note = page.locator("#live-note [data-told]")

    def lose(route: Route) -> None:
        if is_fragment(route.request):
            route.abort()
        else:
            route.continue_()

    page.route("**/models", lose)
    with admin.refusals():
        page.clock.run_for(11_000)
        expect(note).to_contain_text(re.compile(r"Not updated since \d\d:\d\d"))
    page.unroute("**/models")
    page.clock.run_for(31_000)
    expect(note).to_be_empty()


def test_a_list_whose_session_ended_offers_a_new_one(admin: Visitor, system: System) -> None:
    page = admin.page
    page.clock.install()
    page.goto("/models")
    admin.context.clear_cookies()
    with admin.refusals():
        page.clock.run_for(11_000)
        page.get_by_role("button", name="Sign in again").click()
        dialog = page.get_by_role("dialog", name="Your session has ended")
        dialog.get_by_label("API key").fill(system.admin_key)
        page.keyboard.press("Enter")
    expect(page.locator("#live-note [data-told]")).to_be_empty()
    expect(page.get_by_role("button", name="Sign in again")).to_be_hidden()


def test_a_post_from_another_site_changes_nothing(admin: Visitor, system: System) -> None:
    admin.page.goto("/providers")
    elsewhere = admin.context.new_page()
    form = f'<form method="post" action="{system.url}/logout"><button>Win</button></form>'
    elsewhere.route(
        "http://elsewhere.test/**", lambda route: route.fulfill(body=form, content_type="text/html")
    )
    elsewhere.goto("http://elsewhere.test/")
    elsewhere.get_by_role("button").click()
    elsewhere.wait_for_url(f"{system.url}/**")
    admin.page.reload()
    expect(admin.page.locator("h1")).to_have_text("Providers")


@pytest.fixture
def member(visit: Visit, api: Api, name: str) -> Visitor:
    """A member, signed in."""
    made = api.http.post("/v1/keys", json={"name": name[:60], "owner": "mel", "role": "member"})
    assert made.status_code == 201, made.text
    visitor = visit()
    visitor.sign_in(made.json()["key"])
    return visitor


def names_of(page: Page) -> list[str]:
    return page.get_by_role("navigation", name="Console").get_by_role("link").all_inner_texts()


def test_a_member_is_shown_what_members_may_do_and_told_what_they_may_not(
    member: Visitor, admin: Visitor
) -> None:
    admin.page.goto("/providers")
    assert {"Keys", "Audit"} <= set(names_of(admin.page))
    assert not {"Keys", "Audit"} & set(names_of(member.page))
    expect(member.page.get_by_role("link", name="Add a provider")).to_have_count(0)
    with member.refusals():
        member.page.goto("/providers/-/new")
    expect(member.page.locator("h1")).to_have_text("Forbidden")
    member.look("forbidden")
