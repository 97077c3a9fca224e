"""The page `/docs`: all of the description, for people, without a script."""

from __future__ import annotations

import html
import re
from html.parser import HTMLParser
from typing import Any

import pytest

from services.registry.openapi.wording import prose, row
from shared.errors import JOB_FAILURES, REQUEST_ERRORS
from tests.contract.registry.conftest import Registry

ELSEWHERE = {"/openapi.json", "/"}


class Page(HTMLParser):
    """What a page loads, links and runs, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.ids: list[str] = []
        self.events: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        given = dict(attrs)
        self.links += [value for name in ("href", "src") if (value := given.get(name))]
        self.ids += [value] if (value := given.get("id")) else []
        self.events += [name for name in given if name.startswith("on") or name == "style"]


@pytest.fixture
def described(registry: Registry) -> dict[str, Any]:
    document: dict[str, Any] = registry.call("GET", "/openapi.json", who="").get_json()
    return document


def part(text: str, id_: str) -> str:
    """The section of the page with this id, tags and all."""
    return text.partition(f'<section id="{id_}"')[2].partition("</section>")[0]


def plain(text: str) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", text)).split())


def test_it_shows_everything_and_loads_nothing(
    registry: Registry, described: dict[str, Any]
) -> None:
    answer = registry.call("GET", "/docs", who="")
    page = Page(answer.text)
    assert answer.content_type == "text/html; charset=utf-8"
    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy
    assert not {"script", "link", "img", "iframe", "form"} & set(page.tags)
    assert page.events == []
    assert len(page.ids) == len(set(page.ids))
    within = {link.removeprefix("#") for link in page.links if link.startswith("#")}
    assert within - set(page.ids) == set()
    assert set(page.links) - {f"#{name}" for name in within} == ELSEWHERE
    for path, item in described["paths"].items():
        for method in set(item) - {"parameters"}:
            assert f"<code>{method.upper()} {path}</code>" in answer.text
    assert set(described["components"]["schemas"]) <= set(page.ids)
    assert set(described["components"]["schemas"]) <= within  # each can be reached
    for code in {**REQUEST_ERRORS, **JOB_FAILURES}:
        assert f"<code>{code}</code>" in answer.text
    assert "background_options" in answer.text


def test_calls_tell_their_headers_defaults_and_words(registry: Registry) -> None:
    text = registry.call("GET", "/docs", who="").text
    chat = plain(part(text, "post-v1-chat-completions"))
    assert all(name in chat for name in ("Prefer", "Idempotency-Key", "X-CSRF-Token", "Location"))
    assert "at most 255 characters" in chat
    resumed = plain(part(text, "get-v1-chat-completions-job_id"))
    assert all(name in resumed for name in ("If-None-Match", "Last-Event-ID", "ETag", "304"))
    assert "If-Match" in part(text, "patch-v1-providers-reference")
    assert "metadata map of string" in plain(part(text, "get-v1-chat-completions"))
    assert "webhook-signature" in part(text, "webhooks")
    listed = plain(part(text, "get-v1-providers"))
    assert '"asc" or "desc"' in listed
    assert 'default "asc"' in listed
    assert '"no_models_route"' in listed
    options = plain(part(text, "Options"))
    assert (
        "connect_timeout number seconds at most to connect, TLS included; 0.1 to 60; default 5"
        in (options)
    )
    assert "its certificate is checked; default true" in options
    key = plain(part(text, "NewApiKey"))
    assert "limits.requests_per_minute" in key
    check = plain(part(text, "ProviderCheck"))
    assert "steps[].remedy" in check


def test_both_ways_to_sign_a_request_are_explained(registry: Registry) -> None:
    text = registry.call("GET", "/docs", who="").text
    assert "Authorization: Bearer <key>" in plain(part(text, "keys-of-programs"))
    session = plain(part(text, "the-console"))
    for word in ("dragoman_session", "X-CSRF-Token", "Origin", "insufficient_scope"):
        assert word in session
    assert "No key is needed." in part(text, "get-health-live")
    assert "No key is needed." not in part(text, "get-v1-me")


def test_each_call_has_a_command(registry: Registry, described: dict[str, Any]) -> None:
    text = registry.call("GET", "/docs", who="").text
    for path, item in described["paths"].items():
        for method in set(item) - {"parameters"}:
            id_ = re.sub(r"\W+", "-", f"{method}{path}").strip("-")
            assert "curl -s " in part(text, id_), id_
    assert plain(part(text, "post-v1-chat-completions")).count("curl -s ") == 3
    assert "client.chat.completions.create(" in part(text, "post-v1-chat-completions")


def test_backticks_are_code_and_everything_else_stays_text(registry: Registry) -> None:
    assert prose("see `If-Match`, <b>") == "see <code>If-Match</code>, &lt;b&gt;"
    assert prose("``a`` & `<c>`") == "<code>a</code> &amp; <code>&lt;c&gt;</code>"
    hostile = row("<x>", {"type": "string", "default": "<y>"}, False, "<z>")
    assert "<y>" not in hostile.notes[0]
    assert "<z>" not in hostile.about
    text = registry.call("GET", "/docs", who="").text
    body = text.partition("</style>")[2]
    assert "`" not in re.sub(r"<pre>.*?</pre>", "", body, flags=re.DOTALL)
