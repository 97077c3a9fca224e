"""Jobs, usage, keys and the audit trail in the browser."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.api import Api
from tests.e2e.console.talker import talker
from tests.e2e.console.visitor import Visitor
from tests.simulators import Running, running
from tests.system import System

MODEL = "job-talker/talker-1"


@pytest.fixture(scope="module")
def talk(system: System) -> Iterator[Running]:
    """A provider that says what it is asked to say."""
    with running(talker()) as sim:
        made = system.api.add_provider("Job talker", sim.endpoint)
        yield sim
        system.api.http.delete(f"/v1/providers/{made['id']}")


def submit(api: Api, text: str, **fields: Any) -> str:
    """The id of a new job that asks for `text`."""
    return api.submit(MODEL, messages=[{"role": "user", "content": text}], **fields)


def test_a_job_is_followed_from_its_first_words_to_its_end_and_run_again(
    admin: Visitor, api: Api, talk: Running
) -> None:
    body = {
        "model": MODEL,
        "stream": True,
        "sim": {"hold_before": 90},
        "background": True,
        "metadata": {"run": "jobs-1"},
    }
    asked = {**body, "messages": [{"role": "user", "content": "markdown"}]}
    with api.http.stream("POST", "/v1/chat/completions", json=asked) as streamed:
        job = streamed.headers["Location"].rpartition("/")[2]
    page = admin.page
    page.goto("/jobs?metadata=run%3Djobs-1")
    page.locator("#jobs").get_by_role("link").first.click()
    page.wait_for_url(f"**/jobs/{job}")
    content = page.locator("[data-part=content]").first
    expect(content).to_contain_text("A short answer")
    expect(page.locator("#job-facts")).to_contain_text("Running")
    admin.look("job-running")
    talk.release()
    expect(content.get_by_role("cell", name="1991")).to_be_visible()
    expect(page.locator("#job-facts")).to_contain_text("Completed")
    expect(page.locator("#job-facts")).to_contain_text("Attempt 1")
    expect(page.get_by_role("button", name="Cancel")).to_be_hidden()
    html = content.inner_html()
    page.reload()  # now it comes with the page, as text that becomes Markdown
    expect(content.get_by_role("cell", name="1991")).to_be_visible()
    assert re.sub(r"code-\d+", "", content.inner_html()) == re.sub(r"code-\d+", "", html)
    page.get_by_role("button", name="Run again as new").click()
    page.wait_for_url(re.compile(rf"/jobs/(?!{job})"))
    expect(content).to_contain_text("A short answer")
    talk.release()
    expect(content.get_by_role("cell", name="1991")).to_be_visible()
    expect(page.locator("#job-facts")).to_contain_text("jobs-1")
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("button", name="Delete the job").click()
    page.wait_for_url("**/jobs")
    expect(page.locator("#jobs")).to_contain_text(job[-10:])


def test_a_job_that_waits_says_why_and_can_be_cancelled(
    admin: Visitor, api: Api, name: str
) -> None:
    made = api.add_provider(name, "http://127.0.0.1:9")
    job = api.submit(f"{made['slug']}/m")
    page = admin.page
    page.goto(f"/jobs/{job}")
    expect(page.locator("#job-facts")).to_contain_text("does not answer")
    admin.look("job-queued")
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("button", name="Cancel the job").click()
    expect(page.locator("#job-facts")).to_contain_text("Cancelled")
    assert api.job(job)["status"] == "cancelled"
    page.reload()
    expect(page.locator("[data-answers]")).to_contain_text("Cancelled")


def test_hostile_words_in_a_stored_job_stay_words_and_open_in_the_chat(
    admin: Visitor, api: Api, talk: Running
) -> None:
    job = submit(api, "hostile", metadata={"<b>x</b>": "<script>1</script>"})
    api.ended([job], 20)
    page = admin.page
    page.goto(f"/jobs/{job}")
    answer = page.locator("[data-part=content]")
    expect(answer).to_contain_text("The end of it.")
    assert page.locator("main :is(img, script, form, iframe, style, object)").count() == 0
    assert page.evaluate("window.hit") is None
    expect(page.locator("#job-facts")).to_contain_text("<script>1</script>")
    page.get_by_role("link", name="Open in the chat").click()
    expect(page.locator(".turn.theirs [data-part=content]")).to_contain_text("The end of it.")
    expect(page.locator(".turn.mine")).to_contain_text("hostile")
    expect(page.get_by_role("combobox", name="Model")).to_have_value("talker-1")


def test_the_list_keeps_itself_up_to_date(admin: Visitor, api: Api, talk: Running) -> None:
    page = admin.page
    page.goto("/jobs?metadata=run%3Dfresh")
    expect(page.locator("#jobs")).to_contain_text("No job matches")
    job = submit(api, "hello", metadata={"run": "fresh"})
    expect(page.locator("#jobs")).to_contain_text(job[-10:])
    expect(page.locator("#jobs")).to_contain_text("Completed")
    admin.look("jobs")


def test_usage_is_drawn_and_told(admin: Visitor, api: Api, talk: Running) -> None:
    api.ended([submit(api, "hello")], 20)
    page = admin.page
    page.goto("/usage?days=1")
    for name in ("Throughput", "Latency", "Tokens"):
        expect(page.get_by_role("img", name=name)).to_be_visible()
    expect(page.get_by_role("row", name=re.compile("Job talker"))).to_be_visible()
    admin.look("usage")


def test_a_key_is_shown_once_works_and_is_revoked(admin: Visitor, system: System) -> None:
    page = admin.page
    page.goto("/keys")
    page.get_by_role("button", name="Create a key").click()
    with admin.refusals():
        page.get_by_role("button", name="Create", exact=True).click()
        expect(page.locator("#name-fault")).to_contain_text("Expected a value")
    page.get_by_label("Name").fill("Console <b>test</b>")
    page.get_by_label("Requests a minute").fill("500")
    admin.look("key-new")
    page.get_by_role("button", name="Create", exact=True).click()
    dialog = page.get_by_role("dialog", name="The key, this once")
    key = dialog.locator("#secret").inner_text().strip()
    page.keyboard.press("Escape")  # must not lose it
    expect(dialog).to_be_visible()
    dialog.get_by_role("button", name="I have it").click()
    assert key not in page.content()
    row = page.get_by_role("row").filter(has_text="Console <b>test</b>")
    expect(row).to_contain_text("500 requests a minute")
    admin.look("keys")
    with Api(system.url, key) as member:
        assert member.http.get("/v1/models").status_code == 200
        row.get_by_role("button", name="Revoke").click()
        page.get_by_role("button", name="Revoke the key").click()
        expect(row).to_contain_text("Revoked")
        assert member.http.get("/v1/models").status_code == 401
    page.goto("/audit?action=key.revoke")
    expect(page.get_by_role("row").nth(1)).to_contain_text("Key revoked")
    admin.look("audit")
