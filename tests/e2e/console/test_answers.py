"""What models say, in the page's own modules: read, folded, and shown as text that cannot act."""

from __future__ import annotations

import itertools
import json
import shlex
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser

from tests.e2e.console.talker import HOSTILE, MARKDOWN
from tests.e2e.console.visitor import Visitor
from tests.system import System

# Every state of a text that grows by single characters is looked at, as an attacker's would be.
GROWING = """async ([source, text, step]) => {
  const { GrowingMarkdown } = await import(`${source}/answer/growing.js`);
  const root = document.body.appendChild(document.createElement("div"));
  const allowed = new Set(("DIV P BR HR STRONG EM DEL CODE PRE BLOCKQUOTE UL OL LI H3 H4 H5 H6 " +
    "A SPAN TABLE THEAD TBODY TR TH TD BUTTON").split(" "));
  const wrong = new Set();
  const growing = new GrowingMarkdown(root);
  for (let end = step; end < text.length + step; end += step) {
    growing.update(text.slice(0, end));
    for (const element of root.querySelectorAll("*")) {
      if (!allowed.has(element.tagName)) wrong.add(element.tagName);
      for (const { name, value } of element.attributes) {
        const url = name === "href" && !/^(https?:[/][/]|mailto:)/i.test(value);
        if (/^on|^style$|^src$|^name$|^action$/.test(name) || url) wrong.add(`${name}=${value}`);
      }
    }
  }
  growing.finish();
  const once = document.createElement("div");
  const whole = new GrowingMarkdown(once);
  whole.update(text);
  whole.finish();
  const [html, atOnce] = [root, once].map((one) => one.innerHTML.replace(/code-\\d+/g, "code-n"));
  const busy = root.querySelectorAll("[aria-busy]").length;
  const said = root.textContent;
  root.remove();
  return { wrong: [...wrong], text: said, busy, html, once: atOnce, hit: window.hit };
}"""


@pytest.fixture(scope="module")
def shared_page(browser: Browser, system: System) -> Iterator[Visitor]:
    """The chat page, which has the modules and their sentences; no test changes it."""
    provider = system.api.add_provider("Answers", "10.99.0.9:8000")
    visitor = Visitor(browser, system.url)
    visitor.sign_in(system.admin_key, "/chat")
    yield visitor
    visitor.check()
    visitor.close()
    system.api.http.delete(f"/v1/providers/{provider['id']}")


@pytest.fixture(scope="module")
def source(shared_page: Visitor) -> str:
    """Where the page's modules are."""
    url = shared_page.page.locator('script[src$="js/app.js"]').get_attribute("src")
    assert url is not None
    return url.removesuffix("/app.js")


@pytest.fixture
def grown(shared_page: Visitor, source: str) -> Any:
    """Grows a text in the page, and says what it became."""

    def grow(text: str, step: int = 1) -> dict[str, Any]:
        found: dict[str, Any] = shared_page.page.evaluate(GROWING, [source, text, step])
        return found

    return grow


def test_hostile_text_can_do_nothing_at_any_moment_of_its_growth(grown: Any) -> None:
    found = grown(HOSTILE)
    assert found["wrong"] == []
    assert found["hit"] is None
    assert "<script>window.hit = 'script'</script>" in found["text"]
    assert '<form action="https://evil.example/post">' in found["text"]
    assert "The end of it." in found["text"]


def test_a_text_that_grows_looks_at_its_end_as_if_it_had_come_at_once(grown: Any) -> None:
    found = grown(MARKDOWN)
    assert found["html"] == found["once"]
    assert found["busy"] == 0
    assert '<td align="right">1991</td>' in found["html"]
    assert 'aria-label="Code python"' in found["html"]
    assert 'rel="noopener noreferrer nofollow"' in found["html"]


@pytest.mark.parametrize(
    "text",
    [
        ">" * 30_000,
        "- " * 9_000 + "x",
        "_a" * 30_000,
        "a\n" * 40_000,
        "```\n" + "code\n" * 60_000,
    ],
    ids=["quotes", "lists", "emphasis", "lines", "code"],
)
def test_what_a_parser_cannot_bear_is_shown_as_it_is(grown: Any, text: str) -> None:
    found = grown(text, step=len(text) // 4)
    assert found["wrong"] == []
    assert len(found["text"]) > len(text) // 3


def call(visitor: Visitor, source: str, code: str, *values: Any) -> Any:
    """What a line of JavaScript makes of `values`, with the modules' names in reach."""
    script = f"""async ([source, values]) => {{
      const names = ["answer/sse", "answer/fold", "chat/snippets", "chat/conversation"];
      const all = await Promise.all(names.map((name) => import(`${{source}}/${{name}}.js`)));
      const {{ EventParser, Answer, shown, split, choiceOf, curl, python, Conversation, turnsOf,
        emptyAnswer }} = Object.assign({{}}, ...all);
      {code}
    }}"""
    return visitor.page.evaluate(script, [source, list(values)])


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_events_are_the_same_however_the_bytes_are_cut(
    shared_page: Visitor, source: str, ending: str
) -> None:
    text = ": ping\ndata: one\n\nid: 7\ndata:two\ndata: lines\n\nevent: x\n\ndata\n\ndata: cut"
    read = """return [1, 2, 3, 1000].map((size) => {
      const parser = new EventParser(), found = [];
      for (let at = 0; at < values[0].length; at += size) {
        found.push(...parser.take(values[0].slice(at, at + size)));
      }
      return found.map(({ data }) => data);
    });"""
    found = call(shared_page, source, read, text.replace("\n", ending))
    assert found == [["one", "two\nlines", ""]] * 4


def test_chunks_fold_into_an_answer_whatever_types_a_provider_sends(
    shared_page: Visitor, source: str
) -> None:
    def delta(index: int = 0, **fields: Any) -> dict[str, Any]:
        return {"choices": [{"index": index, "delta": fields}]}

    chunks: list[Any] = [
        None,
        7,
        {"id": "chatcmpl-1", "sequence_number": 0, "choices": None},
        {"choices": [None, "x", {"delta": 3}, {"index": "x", "delta": {"content": 5}}]},
        delta(reasoning="Hm, "),
        delta(reasoning_content="yes."),
        delta(content="Good "),
        delta(content=[{"type": "text", "text": "day"}, {"type": "image_url"}, None]),
        delta(tool_calls=[{"index": 0, "function": {"name": "f", "arguments": '{"a"'}}, None]),
        delta(tool_calls=[{"index": 0, "function": {"arguments": ":1}"}}, {"index": -4}]),
        delta(tool_calls=[{"index": 10**9, "function": {"name": "far"}}]),
        delta(1, content="second"),
        delta(10**9, content="far"),
        {"sequence_number": 9, "choices": [{"index": 0, "finish_reason": "stop"}]},
        {"choices": [], "usage": {"prompt_tokens": 3}},
    ]
    fold = """const answer = new Answer();
      for (const chunk of values[0]) answer.add(chunk);
      return [answer.id, answer.last, answer.usage, answer.choices.map(shown)];"""
    name, last, usage, choices = call(shared_page, source, fold, chunks)
    assert (name, last, usage) == ("chatcmpl-1", 9, {"prompt_tokens": 3})
    assert choices == [
        {
            "reasoning": "Hm, yes.",
            "content": "Good day",
            "calls": [{"name": "f", "arguments": '{"a":1}'}],
            "finishReason": "stop",
        },
        {"reasoning": "", "content": "second", "calls": [], "finishReason": None},
    ]


def test_reasoning_in_tags_is_told_apart_as_it_comes(shared_page: Visitor, source: str) -> None:
    text = "\n<think>Let me see.</think>\n\nForty-two <think>not this</think>"
    grow = "return [...values[0]].map((_, at) => split(values[0].slice(0, at + 1)));"
    states = call(shared_page, source, grow, text)
    assert states[-1] == {
        "reasoning": "Let me see.",
        "content": "Forty-two <think>not this</think>",
    }
    for before, after in itertools.pairwise(states):  # what was shown is never taken back
        assert after["reasoning"].startswith(before["reasoning"])
        assert after["content"].startswith(before["content"])
    (plain,) = call(shared_page, source, "return [split(values[0])];", "a < b")
    assert plain == {"reasoning": "", "content": "a < b"}


def test_the_programs_hold_the_request_and_no_key(shared_page: Visitor, source: str) -> None:
    body = {
        "model": "a/b",
        "messages": [{"role": "user", "content": 'It\'s "$HOME"\n\\ `x` \N{LINE SEPARATOR}'}],
        "stream": True,
        "seed": None,
        "top_k": 5,
        "tools": [],
    }
    make = "return [curl('http://host:1', values[0]), python('http://host:1', values[0])];"
    shell, code = call(shared_page, source, make, body)
    words = shlex.split(shell.replace("\\\n", ""))
    assert words[:3] == ["curl", "-N", "http://host:1/v1/chat/completions"]
    assert json.loads(words[-1]) == body
    assert "$DRAGOMAN_API_KEY" in shell
    said: dict[str, Any] = {}

    class Completions:
        @staticmethod
        def create(**arguments: Any) -> list[Any]:
            said.update(arguments)
            return []

    class Client:
        def __init__(self, **arguments: Any) -> None:
            assert arguments == {"base_url": "http://host:1/v1", "api_key": "from the environment"}
            self.chat = type("Chat", (), {"completions": Completions})

    program = code.replace("import os\n\nfrom openai import OpenAI\n", "")
    environ = type("os", (), {"environ": {"DRAGOMAN_API_KEY": "from the environment"}})
    exec(compile(program, "<program>", "exec"), {"OpenAI": Client, "os": environ, "print": str})
    extra = said.pop("extra_body")
    assert said | extra == body
    assert extra == {"top_k": 5}


def test_what_has_no_answer_is_not_sent_again(shared_page: Visitor, source: str) -> None:
    turns = """const storage = { getItem: () => null, setItem() {}, removeItem() {} };
      const talk = new Conversation("ann", storage);
      const message = (content) => ({ kind: "message", message: { role: "user", content } });
      const answer = (state, text) => ({ ...emptyAnswer("m", state),
        choice: text === null ? null : choiceOf({ content: text }) });
      talk.turns = [message("one"), answer("done", "1"), message("two"), answer("failed", null),
        message("three"), answer("stopped", "<think>x</think>3"), message("four")];
      return talk.messages("Be brief.");"""
    assert call(shared_page, source, turns) == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "one"},
        {"role": "assistant", "content": "1"},
        {"role": "user", "content": "three"},
        {"role": "assistant", "content": "3"},
        {"role": "user", "content": "four"},
    ]
