"""The provider form and a provider's page, as they are used."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Dialog, Page, expect

from tests.api import Api
from tests.e2e.console.visitor import Visitor
from tests.simulators import Mode, Running, running, vllm

KEY = "sk-browser-0123456789"


@pytest.fixture
def server() -> Iterator[Running]:
    """A vLLM that wants a key."""
    with running(vllm(key=KEY)) as sim:
        yield sim


def told_at(page: Page, label: str) -> str:
    """The fault that is told at this field, which must be marked and have the focus."""
    field = page.get_by_role("textbox", name=label).or_(page.get_by_role("spinbutton", name=label))
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(field).to_be_focused()
    ids = (field.get_attribute("aria-describedby") or "").split()
    return " ".join(page.locator(f"#{id_}.fault").inner_text() for id_ in ids if "fault" in id_)


def test_a_refusal_stands_at_the_field_that_it_is_about(
    admin: Visitor, api: Api, name: str
) -> None:
    page = admin.page
    api.add_provider(name, "10.99.1.1:8000")
    page.goto("/providers/-/new")
    save = page.get_by_role("button", name="Add the provider")
    with admin.refusals():
        save.click()
        # The focus goes to the first on the page, whichever the fault names first.
        assert told_at(page, "Endpoint") == "Expected a value, got none."
        expect(page.locator("#name-fault")).to_have_text("Expected a value, got none.")
        page.get_by_label("Name", exact=True).fill(name)
        save.click()
        assert "Expected" in told_at(page, "Endpoint")
        page.get_by_label("Endpoint").fill("10.99.1.2:8000")
        expect(page.get_by_label("Endpoint")).not_to_have_attribute("aria-invalid", "true")
        save.click()
        assert "taken" in told_at(page, "Name")
        page.get_by_label("Name", exact=True).fill(f"{name} 2")
        page.get_by_text("Limits, time-outs, TLS and models").click()
        page.get_by_label("Connect within (s)").fill("1000")
        page.get_by_text("Limits, time-outs, TLS and models").click()
        save.click()
        assert "60" in told_at(page, "Connect within (s)")  # which was folded away
    admin.look("provider-new-refused")
    page.get_by_label("Connect within (s)").fill("10")
    save.click()
    page.wait_for_url(re.compile(r"/providers/(?!-)"))
    expect(page.locator("#facts")).to_contain_text("10 s")


def test_where_an_endpoint_leads_is_told_while_it_is_typed(admin: Visitor) -> None:
    page = admin.page
    page.goto("/providers/-/new")
    endpoint, will_call = page.get_by_label("Endpoint"), page.locator("#will-call")
    endpoint.press_sequentially("gpu.example.com/api/v1/chat/completions")
    expect(will_call).to_contain_text("https://gpu.example.com/api/v1/chat/completions")
    expect(will_call).to_contain_text("https://gpu.example.com/api/v1/models")
    with admin.refusals():
        endpoint.fill("http://169.254.169.254/v1")
        expect(page.locator("#endpoint-fault")).to_contain_text("may be called")
        expect(will_call).not_to_contain_text("169.254")
    page.get_by_role("button", name="Ollama").click()
    expect(endpoint).to_have_value("http://169.254.169.254/v1")  # what was typed is not replaced
    endpoint.fill("")
    page.get_by_role("button", name="Ollama").click()
    expect(will_call).to_contain_text("http://localhost:11434/v1/chat/completions")
    expect(page.get_by_label("Name", exact=True)).to_have_value("Ollama")


def test_a_provider_is_refreshed_disabled_and_enabled(
    admin: Visitor, api: Api, name: str, server: Running
) -> None:
    page, made = admin.page, api.add_provider(name, server.url, api_key=KEY)
    api.discovered(made["id"], "ok", 10)
    page.goto(f"/providers/{made['slug']}")
    server.set_mode(Mode.LOADING, "models")
    page.get_by_role("button", name="Refresh", exact=True).click()
    expect(page.locator("#toast")).to_contain_text("Checked")
    expect(page.locator("#state")).to_contain_text("last good list")
    admin.look("provider-stale")
    page.get_by_role("button", name="Disable", exact=True).click()
    expect(page.locator("#state")).to_contain_text("Disabled")
    expect(page.get_by_role("button", name="Refresh", exact=True)).to_have_count(0)
    server.set_mode(Mode.NORMAL, "models")
    page.get_by_role("button", name="Enable", exact=True).click()
    expect(page.locator("#state")).to_contain_text("Healthy")
    expect(page.locator("#timeline")).to_contain_text("Disabled")


def test_of_two_who_edit_the_second_is_told_and_loses_nothing(
    admin: Visitor, api: Api, name: str
) -> None:
    page, made = admin.page, api.add_provider(name, "10.99.1.3:8000")
    page.goto(f"/providers/{made['slug']}/edit")
    page.get_by_label("Description").fill("typed for a long time")
    api.http.patch(f"/v1/providers/{made['id']}", json={"tags": ["meanwhile"]})
    with admin.refusals():
        page.get_by_role("button", name="Save").click()
        expect(page.get_by_role("alert")).to_contain_text("Somebody else changed this provider")
    expect(page.get_by_label("Description")).to_have_value("typed for a long time")
    asked: list[str] = []

    def leave(dialog: Dialog) -> None:
        asked.append(dialog.type)
        dialog.accept()

    page.once("dialog", leave)
    page.get_by_role("link", name="Cancel").click()
    page.wait_for_url(f"**/providers/{made['slug']}")
    assert asked == ["beforeunload"]


def test_a_stored_key_goes_to_another_host_only_if_it_is_given_again(
    admin: Visitor, api: Api, name: str
) -> None:
    page, made = admin.page, api.add_provider(name, "10.99.1.4:8000", api_key=KEY)
    page.goto(f"/providers/{made['slug']}/edit")
    page.get_by_label("Endpoint").fill("10.99.1.5:8000")
    with admin.refusals():
        page.get_by_role("button", name="Save").click()
        expect(page.get_by_label("Rotate it")).to_be_checked()
        assert "another host or port" in told_at(page, "API key")
    page.get_by_role("textbox", name="API key").fill("sk-browser-other-0123")
    page.get_by_role("button", name="Save").click()
    page.wait_for_url(f"**/providers/{made['slug']}")
    expect(page.locator("#facts")).to_contain_text("…0123")
    expect(page.locator("#facts")).to_contain_text("http://10.99.1.5:8000/v1/chat/completions")
