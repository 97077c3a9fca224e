"""The pages of providers as HTML: whom they show what, in every state."""

from __future__ import annotations

import html
import re
from typing import Any

import pytest

from services.registry.providers import slugs
from services.registry.providers.service import Providers
from tests.contract.registry.browser import Browser
from tests.contract.registry.conftest import Registry, refused
from tests.contract.registry.hand import Hand

SCRIPT = "<script>alert('x')</script>"


@pytest.fixture
def hand(registry: Registry) -> Hand:
    return Hand(registry)


@pytest.fixture
def admin(registry: Registry) -> Browser:
    return Browser(registry).sign_in("admin")


@pytest.fixture
def ann(registry: Registry) -> Browser:
    return Browser(registry).sign_in("ann")


def shown(browser: Browser, path: str) -> str:
    """The text of a page, its tags gone and its entities read."""
    answer = browser.get(path)
    assert answer.status_code == 200, answer.text
    return html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.text)))


def listed(browser: Browser, query: str) -> list[str]:
    """The slugs that the list shows, in its order."""
    text = browser.get(f"/providers?{query}").text
    return re.findall(r'class="title" href="/providers/([^"]+)"', text)


def test_the_list_filters_as_the_api_does_and_takes_empty_fields_for_none(
    registry: Registry, hand: Hand, ann: Browser
) -> None:
    one = registry.add(tags=["pages-eu", "gpu"])["slug"]
    two = hand.provider(tags=["pages-eu"], description="pages-eu has a HANDLE here")
    hand.check(two["id"], error="away")
    assert listed(ann, "tag=pages-eu") == [two["slug"], one]
    assert listed(ann, "tag=pages-eu&status=unreachable&q=") == [two["slug"]]
    assert listed(ann, "tag=pages-eu&q=handle&status=") == [two["slug"]]
    assert listed(ann, "tag=pages-eu&tag=gpu") == [one]
    assert "No provider matches" in shown(ann, "/providers?tag=pages-eu&q=nothing")


def test_a_filter_that_cannot_be_is_refused_on_a_page(ann: Browser) -> None:
    answer = ann.get("/providers?status=fine")
    assert (answer.status_code, answer.mimetype) == (400, "text/html")
    assert "Expected one of" in answer.text


def test_the_list_pages_and_keeps_its_filters(registry: Registry, ann: Browser) -> None:
    slugs = [registry.add(tags=["pages-many"])["slug"] for _ in range(3)]
    first = ann.get("/providers?tag=pages-many&limit=2").text
    (following,) = re.findall(r'href="([^"]+)" rel="next"', first)
    query = html.unescape(following).partition("?")[2]
    assert "tag=pages-many" in query
    assert "limit=2" in query
    assert listed(ann, "tag=pages-many&limit=2") == slugs[:0:-1]
    assert listed(ann, query) == slugs[:1]
    assert "First page" in ann.get(html.unescape(following)).text


@pytest.mark.parametrize(
    ("who", "says"),
    [("admin", "Add the first provider"), ("ann", "No providers for you yet")],
)
def test_without_any_provider_the_list_says_what_to_do(
    registry: Registry, who: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Providers, "list", lambda *_: ([], False))
    browser = Browser(registry).sign_in(who)
    text = shown(browser, "/providers")
    assert says in text
    assert ("/providers/-/new" in browser.get("/providers").text) == (who == "admin")


def test_a_member_sees_a_provider_but_nothing_that_changes_it(
    registry: Registry, admin: Browser, ann: Browser
) -> None:
    slug = registry.add()["slug"]
    hers, his = (browser.get(f"/providers/{slug}").text for browser in (ann, admin))
    for words in ("data-dialog", "/edit", "PATCH /v1", "DELETE /v1"):
        assert words not in hers
        assert words in his
    assert f"/v1/providers/{registry.get(f'/v1/providers/{slug}').get_json()['id']}/refresh" in hers


def test_script_in_names_tags_and_ids_stays_text(
    registry: Registry, hand: Hand, admin: Browser
) -> None:
    made = hand.provider(
        name=f"{SCRIPT} pages", tags=["<b>x"], description=SCRIPT, options={"models": [SCRIPT]}
    )
    hand.check(made["id"], "<img src=x onerror=alert(1)>")
    hand.check(made["id"], error=SCRIPT)
    for path in (
        "/providers",
        f"/providers/{made['slug']}",
        f"/providers/{made['slug']}/edit",
        f"/models?provider={made['slug']}",
    ):
        text = admin.get(path).text
        assert SCRIPT not in text
        assert "<b>x" not in text
        assert "<img src=x" not in text
        assert html.escape(SCRIPT, quote=True).replace("&#x27;", "&#39;") in text


def test_the_state_of_a_provider_is_told_with_its_error_and_the_age_of_its_list(
    registry: Registry, hand: Hand, ann: Browser
) -> None:
    made = hand.provider()
    page = f"/providers/{made['slug']}"
    assert "The first check is under way" in shown(ann, page)
    assert 'data-every="1"' in ann.get(page).text  # somebody waits for it
    hand.check(made["id"], "m1", "m2", at=1_000.0)
    assert "Healthy" in shown(ann, page)
    assert "last known" not in shown(ann, page)
    hand.check(made["id"], error="Expected a connection, got none.", at=2_000.0)
    text = shown(ann, page)
    assert "Unreachable" in text
    assert "Expected a connection, got none." in text
    assert "last known" in text
    assert f"{made['slug']}/m1" in text
    assert 'datetime="1970-01-01T00:16:40Z"' in ann.get(page).text
    assert "Unreachable, before: healthy" in text
    assert "2 models appeared" in text
    hand.check(made["id"], "m1")
    assert "Vanished models" in shown(ann, page)


def test_the_last_ten_checks_are_told_newest_first(
    registry: Registry, hand: Hand, ann: Browser
) -> None:
    made = hand.provider()
    for number in range(9):
        hand.check(made["id"], "m", at=1_000.0 + number)
    hand.check(made["id"], error="away", at=2_000.0)
    hand.check(made["id"], "m", at=3_000.0)
    page = ann.get(f"/providers/{made['slug']}").text
    (checks,) = re.findall(r'<ol class="checks".*?</ol>', page, re.DOTALL)
    assert re.findall(r'class="dot (\w+)', checks) == ["ok", "bad", *["ok"] * 8]
    assert re.findall(r'datetime="1970-01-01T(.{8})', checks)[:3] == [
        "00:50:00",
        "00:33:20",
        "00:16:48",
    ]


def test_a_disabled_provider_says_so_and_offers_to_be_enabled(
    registry: Registry, admin: Browser
) -> None:
    made = registry.add()
    registry.disable(made["id"])
    page = admin.get(f"/providers/{made['slug']}").text
    assert "New jobs are refused" in page
    assert re.search(r'name="enabled"[^>]*value="true"', page)
    assert "Enable" in page
    assert "data-refresh" not in page


def test_the_jobs_of_a_provider_are_those_that_the_caller_may_see(
    registry: Registry, admin: Browser, ann: Browser
) -> None:
    slug = registry.add()["slug"]
    hers = registry.submit(f"{slug}/m", who="ann")["id"]
    bens = registry.submit(f"{slug}/m", who="ben")["id"]
    assert [one in ann.get(f"/providers/{slug}").text for one in (hers, bens)] == [True, False]
    assert [one in admin.get(f"/providers/{slug}").text for one in (hers, bens)] == [True, True]


def test_no_page_holds_a_key(registry: Registry, admin: Browser) -> None:
    key = "sk-pages-canary-0123456789"
    slug = registry.add(api_key=key)["slug"]
    for path in ("/providers", f"/providers/{slug}", f"/providers/{slug}/edit"):
        text = admin.get(path).text
        assert key not in text
        assert "…6789" in text


def test_the_form_shows_what_is_saved_and_its_revision(registry: Registry, admin: Browser) -> None:
    options: dict[str, Any] = {"max_concurrency": 3, "allow_models": ["a*"], "idle_timeout": 7}
    made = registry.add(tags=["a", "b"], visibility=["ann", "ben"], options=options)
    text = admin.get(f"/providers/{made['slug']}/edit").text
    assert f'data-call="PATCH /v1/providers/{made["id"]}" data-revision="1"' in text
    for value in ("a b", "ann ben", "3", "7"):
        assert f'value="{value}"' in text
    assert re.search(r'value="owners" checked', text)
    assert re.search(r'<textarea[^>]*name="options.allow_models"[^>]*>a\*</textarea>', text)
    assert re.search(r'name="options.total_timeout"[^>]*value=""[^>]*placeholder="600"', text)


def test_a_provider_named_as_a_page_or_call_beside_it_is_reached_by_its_slug(
    registry: Registry, admin: Browser
) -> None:
    rules = [rule.rule.split("/") for rule in registry.app.url_map.iter_rules()]
    beside = {parts[parts.index("providers") + 1] for parts in rules if "providers" in parts[:-1]}
    words = {word for word in beside if slugs.is_slug(word)} | {"new"}
    assert words - slugs.RESERVED == {"new", "resolve"}
    for word in words - slugs.RESERVED:
        registry.add(slug=word, name=f"Pages {word}")
        assert f'href="/providers/{word}"' in admin.get(f"/providers?q=pages {word}").text
        for path in (f"/providers/{word}", f"/providers/{word}/edit"):
            assert f"Pages {word}" in shown(admin, path), path
        assert registry.get(f"/v1/providers/{word}").get_json()["slug"] == word
    assert "Add a provider" in shown(admin, "/providers/-/new")


def test_a_part_that_did_not_change_is_not_sent_again(registry: Registry, ann: Browser) -> None:
    made = registry.add()
    path, part = f"/providers/{made['slug']}", {"X-Fragment": "state"}
    first = ann.get(path, **part)
    assert (first.status_code, bool(first.headers["ETag"])) == (200, True)
    again = ann.get(path, **part, **{"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")
    registry.disable(made["id"])
    later = ann.get(path, **part, **{"If-None-Match": first.headers["ETag"]})
    assert later.status_code == 200


def test_where_an_endpoint_leads_is_told_without_saving_or_calling_it(registry: Registry) -> None:
    def resolve(typed: str, **options: Any) -> Any:
        return registry.post("/v1/providers/resolve", {"endpoint": typed}, **options)

    assert resolve("api.example.com/v1/chat/completions").get_json() == {
        "object": "endpoint",
        "chat_url": "https://api.example.com/v1/chat/completions",
        "models_url": "https://api.example.com/v1/models",
    }
    refused(resolve("http://"), 400, "invalid_value", "endpoint")
    refused(resolve("http://169.254.169.254/v1"), 400, "invalid_value", "endpoint")
    refused(resolve("http://10.0.0.1", who="ann"), 403, "insufficient_scope")
    refused(registry.post("/v1/providers/resolve", {}), 400, "invalid_value", "endpoint")
