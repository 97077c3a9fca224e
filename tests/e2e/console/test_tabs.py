"""Several tabs, and several people after each other in one, in a real browser."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.api import Api
from tests.e2e.console.conftest import Visit
from tests.e2e.console.visitor import Visitor
from tests.system import System


def begin_session(visitor: Visitor, key: str) -> None:
    """What a login in another tab does to this browser."""
    answer = visitor.context.request.post("/login", form={"key": key}, max_redirects=0)
    assert answer.status == 303, answer.text()


def test_what_is_typed_outlives_a_login_in_another_tab(
    visit: Visit, system: System, name: str
) -> None:
    visitor = visit()
    page = visitor.sign_in(system.admin_key, to="/providers/-/new")
    page.get_by_label("Endpoint").fill("10.99.0.2:8000")
    page.get_by_label("Name", exact=True).fill(name)
    begin_session(visitor, system.admin_key)
    with visitor.refusals():
        page.get_by_role("button", name="Add the provider").click()
        expect(page.locator("h1")).to_have_text(name)


def test_nothing_is_sent_in_the_name_of_somebody_else_who_signed_in_in_another_tab(
    visit: Visit, system: System, api: Api, name: str
) -> None:
    made = api.http.post("/v1/keys", json={"name": name[:60], "owner": "tab", "role": "admin"})
    visitor = visit()
    page = visitor.sign_in(system.admin_key, to="/providers/-/new")
    page.get_by_label("Endpoint").fill("10.99.0.3:8000")
    page.get_by_label("Name", exact=True).fill(name)
    begin_session(visitor, made.json()["key"])
    with visitor.refusals():
        page.get_by_role("button", name="Add the provider").click()
        expect(page.get_by_role("alert")).to_contain_text("Reload the page")
    assert api.http.get("/v1/providers", params={"q": name}).json()["data"] == []


def test_what_was_set_for_a_chat_is_not_shown_to_whoever_uses_the_tab_next(
    visit: Visit, system: System, api: Api, name: str
) -> None:
    made = api.http.post("/v1/keys", json={"name": name[:60], "owner": "next", "role": "admin"})
    api.http.post("/v1/providers", json={"name": name, "endpoint": "10.99.0.4:8000"})
    visitor = visit()
    page = visitor.sign_in(system.admin_key, to="/chat")
    page.get_by_label("System prompt").fill("The password is swordfish.")
    page.get_by_label("Temperature").fill("0.5")
    page.reload()
    expect(page.get_by_label("System prompt")).to_have_value("The password is swordfish.")
    page.get_by_role("button", name="Sign out").click()
    visitor.sign_in(made.json()["key"], to="/chat")
    expect(page.get_by_label("System prompt")).to_have_value("")
    expect(page.get_by_label("Temperature")).to_have_value("")
