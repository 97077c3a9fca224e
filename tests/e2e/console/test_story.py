"""The long story: what a person does on a first day, with a real llama.cpp server."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

from deploy.llama_server import ALIAS
from tests.e2e.console.visitor import Visitor
from tests.llama_cpp import llama_server, needs_llama_cpp

pytestmark = needs_llama_cpp

OLD_KEY = "sk-story-old-0123456789"
NEW_KEY = "sk-story-new-0123456789"
STREAMING = """() => {
  const stop = document.querySelector("[data-stop]");
  const answer = [...document.querySelectorAll("[data-part=content]")].at(-1);
  return !stop.hidden && answer && answer.textContent.trim().length > 0;
}"""
STEPS = ("resolve", "connect", "tls", "models", "authenticate", "chat")


def test_from_a_new_provider_by_chat_and_job_to_its_end(admin: Visitor) -> None:
    page = admin.page
    with llama_server(OLD_KEY, NEW_KEY) as url:
        _add(admin, url)
        _see_its_model(page)
        _chat_with_it(admin)
        job = _run_in_the_background(admin)
        _rotate_its_key(admin)
        _delete(admin)
    page.goto(job)  # which outlives its provider
    expect(page.locator("[data-part=content]")).to_contain_text(re.compile(r"\w"))


def _add(admin: Visitor, url: str) -> None:
    page = admin.page
    page.goto("/providers")
    page.get_by_role("link", name="Add a provider").click()
    page.get_by_role("button", name="llama.cpp").click()
    expect(page.get_by_label("Endpoint")).to_have_value("http://localhost:8080/v1")
    page.get_by_label("Endpoint").fill(url.removeprefix("http://"))
    will_call = page.locator("#will-call")
    expect(will_call).to_contain_text(f"{url}/v1/chat/completions")
    expect(will_call).to_contain_text(f"{url}/v1/models")
    page.get_by_label("Name", exact=True).fill("Story llama")
    page.get_by_role("textbox", name="API key").fill("sk-story-wrong-012345")
    page.get_by_role("button", name="Test", exact=True).click()
    expect(page.locator('[data-step="authenticate"]')).to_have_attribute("data-verdict", "failed")
    expect(page.locator('[data-step="authenticate"] .remedy')).to_contain_text("Copy the key again")
    page.get_by_role("textbox", name="API key").fill(OLD_KEY)
    page.get_by_label("Also send one short chat").check()
    page.get_by_role("button", name="Test", exact=True).click()
    for step in STEPS:
        verdict = re.compile("ok|skipped" if step == "tls" else "ok")
        expect(page.locator(f'[data-step="{step}"]')).to_have_attribute("data-verdict", verdict)
    expect(page.locator("#found")).to_contain_text(ALIAS)
    admin.look("provider-test-passed")
    page.get_by_role("button", name="Add the provider").click()
    page.wait_for_url("**/providers/story-llama")


def _see_its_model(page: Page) -> None:
    expect(page.locator("#state")).to_contain_text("Healthy")
    expect(page.locator("#models")).to_contain_text(f"story-llama/{ALIAS}")
    expect(page.locator("#facts")).to_contain_text("…6789")
    page.get_by_role("navigation", name="Console").get_by_role("link", name="Models").click()
    page.get_by_label("Search").fill("STORY")
    expect(page.get_by_role("row")).to_have_count(2)
    expect(page).to_have_url(re.compile(r"\?q=STORY$"))
    expect(page.locator("#models")).to_contain_text(f"story-llama/{ALIAS}")


def _chat_with_it(admin: Visitor) -> None:
    page = admin.page
    page.get_by_role("link", name="Chat with story-llama/").click()
    expect(page.get_by_label("Model", exact=True)).to_have_value(ALIAS)
    expect(page.get_by_label("Provider", exact=True)).to_have_value("story-llama")
    page.get_by_label("Max. tokens").fill("48")
    page.get_by_label("Message").fill("Tell me about the sea.")
    page.get_by_label("Message").press("Enter")
    # It is there before it is whole: the button that stops it is, too.
    page.wait_for_function(STREAMING)
    expect(page.get_by_role("button", name="Stop")).to_be_hidden()
    expect(page.get_by_role("log")).to_contain_text(re.compile(r"\d+ tokens in, \d+ out"))


def _run_in_the_background(admin: Visitor) -> str:
    """The URL of the job."""
    page = admin.page
    page.get_by_label("Message").fill("And about the moon?")
    page.get_by_role("button", name="Run in background").click()
    jobs = page.get_by_role("log").locator('a[href^="/jobs/"]')
    expect(jobs).to_have_count(2)
    jobs.last.click()
    page.wait_for_url("**/jobs/chatcmpl-*")
    facts = page.locator("#job-facts")
    expect(facts).to_contain_text("Completed")
    expect(page.locator("[data-part=content]")).to_contain_text(re.compile(r"\w"))
    expect(facts).to_contain_text("background")
    job = page.url
    page.goto("/providers/story-llama")
    expect(page.locator("#jobs")).to_contain_text(job[-6:])
    expect(page.locator("#facts")).not_to_contain_text("not yet")  # the chats proved the key
    page.get_by_role("link", name="All jobs").click()
    expect(page.get_by_role("row").filter(has_text=job[-6:])).to_contain_text("Completed")
    return job


def _rotate_its_key(admin: Visitor) -> None:
    page = admin.page
    page.goto("/providers/story-llama")
    before = page.locator("#facts").inner_text()
    page.get_by_role("link", name="Edit").click()
    page.get_by_label("Rotate it").check()
    page.get_by_role("textbox", name="API key").fill(NEW_KEY)
    admin.look("provider-edit")
    page.get_by_role("button", name="Save").click()
    page.wait_for_url("**/providers/story-llama")
    expect(page.locator("#timeline")).to_contain_text("Key rotated")
    assert re.findall("fingerprint (\\w+)", before) != re.findall(
        "fingerprint (\\w+)", page.locator("#facts").inner_text()
    )
    expect(page.locator("#facts")).to_contain_text("Key proven")


def _delete(admin: Visitor) -> None:
    page = admin.page
    page.get_by_role("button", name="Delete").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("The inference server itself is not touched")
    expect(dialog).to_contain_text("Queued jobs")
    admin.look("provider-delete")
    dialog.get_by_role("button", name="Delete the record").click()
    page.wait_for_url("**/providers")
    page.get_by_label("Search").fill("story-llama")
    expect(page.locator("#providers")).to_contain_text("No provider matches")
