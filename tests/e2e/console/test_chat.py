"""The chat page, as people use it: an answer that streams, a job that outlives the page."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, ViewportSize, expect

from tests.api import Api
from tests.e2e.console.conftest import Visit
from tests.e2e.console.talker import HOSTILE, MARKDOWN, PIECE, talker
from tests.e2e.console.visitor import LAPTOP, PHONE, Visitor
from tests.simulators import Running, running
from tests.system import System

MODEL = "chat-talker/talker-1"
HELD = '{"sim": {"hold_before": 200}}'  # 200 chunks come, the others when they are released
SILENT = '{"sim": {"hold_before": 0}}'  # a slow model: not a word until it is released


@pytest.fixture(scope="module")
def talk() -> Iterator[Running]:
    """The upstream; a stream that holds goes on by its `release`."""
    with running(talker()) as sim:
        yield sim


@pytest.fixture(scope="module", autouse=True)
def provider(system: System, talk: Running) -> Iterator[None]:
    """A provider that says what it is asked to say."""
    made = system.api.add_provider("Chat talker", talk.endpoint)
    yield
    system.api.http.delete(f"/v1/providers/{made['id']}")


def at_chat(visitor: Visitor, query: str = f"model={MODEL}") -> Page:
    visitor.page.goto(f"/chat?{query}")
    expect(visitor.page.locator("[data-model-help]")).to_contain_text("to pick from")
    return visitor.page


def say(page: Page, text: str) -> None:
    page.get_by_label("Message").fill(text)
    page.get_by_label("Message").press("Enter")


def hold(page: Page) -> None:
    """Let the answers to come stop in their middle."""
    page.get_by_label("Further fields").fill(HELD)


def last(page: Page, part: str = "") -> str:
    return f".turn.theirs:last-of-type {part}"


def ended(page: Page, word: str = "complete") -> None:
    expect(page.locator("[data-status]")).to_contain_text(word)


def test_an_answer_comes_as_markdown_with_its_figures(admin: Visitor, talk: Running) -> None:
    page = at_chat(admin)
    expect(page.get_by_label("Provider")).to_have_value("chat-talker")
    expect(page.get_by_role("combobox", name="Model")).to_have_value("talker-1")
    say(page, "markdown")
    ended(page)
    answer = page.locator(last(page))
    expect(answer.get_by_role("heading", name="A short answer")).to_be_visible()
    expect(answer.get_by_role("link", name="a link")).to_have_attribute(
        "rel", re.compile("noopener")
    )
    expect(answer.get_by_role("cell", name="1991")).to_be_visible()
    expect(answer).to_contain_text(f"7 tokens in, {len(MARKDOWN) // PIECE} out")
    expect(answer).to_contain_text("first words after")
    say(page, "thinking")
    expect(page.locator(last(page, "[data-part=content]"))).to_have_text("Forty-two.")
    thought = page.locator(last(page, "[data-part=reasoning]"))
    expect(thought).not_to_have_attribute("open", "")
    thought.locator("summary").click()
    expect(thought.get_by_role("emphasis")).to_have_text("let me see")
    say(page, "tools")
    expect(page.locator(last(page, ".calls"))).to_contain_text('"city": "<b>Bern</b>"')
    admin.look("chat")
    page.reload()  # the tab remembers
    expect(page.get_by_role("heading", name="A short answer")).to_be_visible()
    expect(page.locator(".turn")).to_have_count(6)


def test_hostile_words_of_a_model_stay_words(admin: Visitor, talk: Running) -> None:
    page = at_chat(admin)
    say(page, "hostile")
    ended(page)
    answer = page.locator(last(page))
    expect(answer).to_contain_text("<script>window.hit = 'script'</script>")
    expect(answer.locator("[data-part=content]")).to_contain_text("The end of it.")
    for link in answer.get_by_role("link").all():
        assert re.match(r"https://|/jobs/", link.get_attribute("href") or "")
    assert answer.locator("img, script, form, iframe, style, object, input").count() == 0
    assert page.evaluate("window.hit") is None
    say(page, HOSTILE)  # what the reader writes is no page, either
    ended(page)
    assert page.locator(".chat-log :is(img, script, form, iframe, style)").count() == 0


def test_stop_ends_the_call_and_keeps_what_came(admin: Visitor, talk: Running) -> None:
    page = at_chat(admin)
    say(page, "hello")
    ended(page)
    hold(page)
    begun = talk.stats().begun
    say(page, "long")
    expect(page.locator(last(page, "[data-part=content]"))).to_contain_text("Para")
    page.get_by_role("button", name="Stop").click()
    ended(page, "Stopped")
    expect(page.locator(last(page))).to_contain_text("stopped")
    talk.wait_until(lambda stats: stats.begun == begun + 1 and stats.in_flight == 0, 10)
    expect(page.get_by_role("button", name="Send")).to_be_visible()


def test_a_job_in_the_background_goes_on_over_a_reload_and_can_be_cancelled(
    admin: Visitor, talk: Running, api: Api
) -> None:
    page = at_chat(admin)
    hold(page)
    page.get_by_label("Message").fill("long")
    page.get_by_role("button", name="Run in background").click()
    content = page.locator(last(page, "[data-part=content]"))
    expect(content).to_contain_text("Paragraph 0")
    page.reload()
    expect(content).to_contain_text("Paragraph 0")
    job = page.locator(last(page)).get_by_role("link", name="Job").get_attribute("href")
    assert job is not None
    name = job.removeprefix("/jobs/")
    assert api.job(name)["status"] == "in_progress"
    page.get_by_role("button", name="Cancel the job").click()
    ended(page, "Stopped")
    assert api.job(name)["status"] == "cancelled"


def test_a_job_in_the_background_says_how_it_stands(
    admin: Visitor, talk: Running, api: Api
) -> None:
    one_at_once = {"max_concurrency": 1}
    made = api.add_provider("Chat one by one", talk.endpoint, options=one_at_once)
    page = at_chat(admin, "model=chat-one-by-one/talker-1")
    page.get_by_label("Further fields").fill(SILENT)
    waiting = page.locator("[data-waiting-text]")
    unknown = re.compile(r"^Waiting for the first words, \d+ s$")  # its id is not there yet
    for question in ("first", "second"):
        page.get_by_label("Message").fill(question)
        page.get_by_role("button", name="Run in background").click()
        expect(waiting.last).to_have_text(unknown)
    running_now = re.compile(r"^Running, \d+ s\. The job goes on when you leave this page\.$")
    busy = re.compile(r"^Queued: The provider runs as many calls as it may\.")
    expect(waiting).to_have_text([running_now, busy])
    page.reload()
    expect(waiting).to_have_text([running_now, busy])
    talk.release()
    expect(page.locator(".turn.theirs").first).to_contain_text("You said: first")
    expect(waiting.last).to_have_text(running_now)  # as soon as it is its turn
    talk.release()
    expect(page.locator(last(page))).to_contain_text("You said: second")
    api.http.delete(f"/v1/providers/{made['id']}")


def test_the_program_of_a_conversation_asks_its_last_question(
    admin: Visitor, talk: Running
) -> None:
    page = at_chat(admin)
    for question in ("one", "two"):
        say(page, question)
        expect(page.locator(last(page, "[data-part=content]"))).to_have_text(
            f"You said: {question}"
        )
    assert program(page) == ["one", "You said: one", "two"]
    page.get_by_label("Message").fill("three")  # what is being typed is asked next
    assert program(page) == ["one", "You said: one", "two", "You said: two", "three"]


def program(page: Page) -> list[str]:
    """What the messages of the curl command say."""
    page.get_by_role("button", name="As curl or Python").click()
    told = page.locator("#curl").inner_text()
    page.keyboard.press("Escape")
    return re.findall(r'"content": "(.*)"', told)


@pytest.mark.parametrize("size", [LAPTOP, PHONE], ids=["laptop", "phone"])
def test_the_page_opens_with_its_heading_and_nothing_below_the_composer(
    visit: Visit, system: System, talk: Running, size: ViewportSize
) -> None:
    visitor = visit(size)
    visitor.sign_in(system.admin_key)
    page = at_chat(visitor)
    fits(page)
    say(page, "hello")
    ended(page)
    at_chat(visitor)
    expect(page.locator(".turn")).to_have_count(2)
    fits(page)
    say(page, "long")  # what does not fit opens at its end
    ended(page)
    at_chat(visitor)
    expect(page.get_by_text("Paragraph 59.")).to_be_in_viewport()
    expect(page.get_by_label("Message")).to_be_in_viewport()


def fits(page: Page) -> None:
    """The page is on the screen, whole."""
    expect(page.get_by_role("heading", level=1)).to_be_in_viewport(ratio=1)
    expect(page.get_by_role("button", name="Send")).to_be_in_viewport(ratio=1)
    assert page.evaluate("document.documentElement.scrollHeight - innerHeight") == 0
    assert page.evaluate("scrollY") == 0


def test_an_error_stands_at_its_place_and_asking_again_may_mend_it(
    admin: Visitor, talk: Running
) -> None:
    page = at_chat(admin)
    page.get_by_role("combobox", name="Model").fill("")
    say(page, "hello")
    expect(page.locator("#model-fault")).to_contain_text("Expected a model")
    page.get_by_label("Provider").select_option("")
    page.get_by_role("combobox", name="Model").fill("nobody-knows-this")
    with admin.refusals():
        page.get_by_label("Message").press("Enter")
        ended(page, "No answer")
    answer = page.locator(last(page))
    expect(answer.locator("[data-part=error]")).to_contain_text("nobody-knows-this")
    expect(answer.get_by_role("link", name="See the models")).to_be_visible()
    admin.look("chat-error")
    page.get_by_role("combobox", name="Model").fill(MODEL)
    answer.get_by_role("button", name="Try again").click()
    ended(page)
    expect(page.locator(".turn.theirs")).to_have_count(1)
    expect(page.locator(last(page, "[data-part=content]"))).to_have_text("You said: hello")


def test_while_a_long_answer_grows_what_stands_already_is_left_alone(
    admin: Visitor, talk: Running
) -> None:
    page = at_chat(admin)
    hold(page)
    say(page, "long")
    blocks = page.locator(last(page, "[data-part=content] > .block"))
    expect(blocks.nth(1)).to_be_visible()
    blocks.first.locator("p").evaluate("(paragraph) => paragraph.setAttribute('data-same', '')")
    talk.release()
    ended(page)
    expect(blocks).to_have_count(60)
    expect(blocks.first.locator("p")).to_have_attribute("data-same", "")


def test_on_a_phone_with_the_keyboard_alone(visit: Visit, system: System, talk: Running) -> None:
    visitor = visit(PHONE)
    visitor.sign_in(system.admin_key)
    page = at_chat(visitor)
    page.get_by_label("Message").focus()
    page.keyboard.type("hello")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("you")
    page.keyboard.press("Enter")
    ended(page)
    expect(page.locator(last(page, "[data-part=content]"))).to_have_text("You said: hello you")
    page.get_by_role("button", name="As curl or Python").focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog.locator("#python")).to_contain_text('model="chat-talker/talker-1"')
    visitor.look("chat-programs")
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    visitor.look("chat")
    page.get_by_role("button", name="New chat").click()
    expect(page.get_by_text("Nothing said yet")).to_be_visible()
    expect(page.locator(".turn")).to_have_count(0)
