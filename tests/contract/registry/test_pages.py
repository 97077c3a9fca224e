"""What holds for every page of the console, whatever it shows: each route is walked."""

from __future__ import annotations

import re
from dataclasses import dataclass
from html.parser import HTMLParser
from urllib.parse import parse_qs, urlsplit

import pytest

from services.registry.console.pages import HEADERS
from shared.errors import StoreUnavailable
from tests.contract.registry.browser import Browser
from tests.contract.registry.conftest import Registry, refused

NOBODYS = "01J00000000000000000000000"
OPEN = {"/login", "/logout", "/console/static/<version>/<path:path>"}
CALLS = {"/jobs/<job_id>/again"}  # of scripts, told of by tests of their own
ADMINS = {"/providers/-/new", "/providers/<reference>/edit", "/keys", "/audit"}


@dataclass(frozen=True)
class Anns:
    """What only Ann and admins may see."""

    provider: str
    job: str

    def values(self, parameter: str) -> tuple[str, str]:
        """Something of hers, and what names nothing."""
        if parameter == "reference":
            return self.provider, "nobodys"
        assert parameter == "job_id", f"say what {parameter} of Ann's there is"
        return self.job, f"chatcmpl-{NOBODYS}"


@pytest.fixture
def anns(registry: Registry) -> Anns:
    slug = registry.add(visibility=["ann"])["slug"]
    return Anns(slug, registry.submit(f"{slug}/m", who="ann")["id"])


class Attributes(HTMLParser):
    """The names of a page's attributes; what their values hold is no attribute."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        del tag
        self.names.update(name for name, _ in attrs)

    @classmethod
    def of(cls, text: str) -> set[str]:
        parser = cls()
        parser.feed(text)
        return parser.names


class Regions(HTMLParser):
    """What stands in the regions that keep themselves up to date, by their ids."""

    VOID = frozenset({"input", "br", "img", "meta", "link", "hr"})

    def __init__(self) -> None:
        super().__init__()
        self.found: dict[str, list[object]] = {}
        self._within: list[object] | None = None
        self._depth = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if self._within is None and "data-live" in given:
            self._within = self.found[str(given["id"])] = []
            self._depth = 1
        elif self._within is not None:
            self._within.append((tag, attrs))
            self._depth += tag not in self.VOID

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self._within is not None:
            self._within.append((tag, attrs))

    def handle_endtag(self, tag: str) -> None:
        del tag
        if self._within is not None:
            self._depth -= 1
            self._within = self._within if self._depth else None

    def handle_data(self, data: str) -> None:
        if self._within is not None and data.strip():
            self._within.append(data.strip())

    @classmethod
    def of(cls, text: str) -> dict[str, list[object]]:
        parser = cls()
        parser.feed(text)
        return parser.found


def pages(registry: Registry) -> dict[str, str | None]:
    """The rule of every page that needs a login → the name of its parameter."""
    found = {}
    for rule in registry.app.url_map.iter_rules():
        if rule.endpoint.startswith("console.") and rule.rule not in OPEN | CALLS:
            assert "GET" in (rule.methods or ())
            (*names,) = rule.arguments
            found[rule.rule] = names[0] if names else None
    return found


def path_of(rule: str, value: str) -> str:
    return re.sub(r"<[^>]+>", value, rule)


def test_without_a_login_every_page_leads_there_and_back(registry: Registry, anns: Anns) -> None:
    browser = Browser(registry)
    for rule, parameter in pages(registry).items():
        path = path_of(rule, anns.values(parameter)[0] if parameter else "")
        answer = browser.get(f"{path}?status=x&a=b%26c")
        assert answer.status_code == 303, rule
        target = urlsplit(answer.headers["Location"])
        assert target.path == "/login"
        assert parse_qs(target.query) == {"next": [f"{path}?status=x&a=b%26c"]}
        fragment = browser.get(path, **{"X-Fragment": "x"})
        refused(fragment, 401, "invalid_api_key")


def test_every_page_tells_browsers_what_they_must_not_do(registry: Registry, anns: Anns) -> None:
    browser = Browser(registry).sign_in("admin")
    for rule, parameter in pages(registry).items():
        for value in anns.values(parameter) if parameter else ("",):
            answer = browser.get(path_of(rule, value))
            assert answer.status_code in (200, 303, 404), f"{rule}: {answer.status_code}"
            assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS, rule
            assert "no-store" in answer.headers["Cache-Control"], rule
            for tag in re.findall(r"<(script|style)\b([^>]*)>", answer.text):
                assert tag[0] == "script", rule
                assert re.search(r'\bsrc="/console/static/', tag[1]), rule
            names = Attributes.of(answer.text)
            assert [name for name in names if name == "style" or name.startswith("on")] == [], rule
            assert not re.search(r'<[^>]+\s(src|href)="(https?:)?//(?!127\.)', answer.text), rule


def test_a_fragment_has_the_regions_as_the_page_has_them_and_not_what_is_large_around_them(
    registry: Registry,
) -> None:
    name, asked = registry.name(), "What was asked. " * 50
    made = registry.add(f"Around {name}", slug=name, tags=[f"tag-{name}"])
    registry.discovered(made["id"], "m")
    job = registry.submit(f"{name}/m", messages=[{"role": "user", "content": asked}])["id"]
    browser, walked = Browser(registry).sign_in(), 0
    for rule, parameter in pages(registry).items():
        value = job if parameter == "job_id" else made["slug"]
        narrow = {"/jobs": f"?model={name}/none", "/models": "?q=none", "/providers": "?q=none"}
        path = path_of(rule, value) + narrow.get(rule, "")
        whole = Regions.of(browser.get(path).text)
        if not whole:
            continue
        answer = browser.get(path, **{"X-Fragment": ",".join(whole)})
        assert Regions.of(answer.text) == whole, path
        for large in (asked, f"tag-{name}</option>", f"Around {name}</option>"):
            assert large not in answer.text, path
        walked += 1
    assert walked >= 7


def test_what_a_member_may_not_see_is_as_unknown_as_what_never_was(
    registry: Registry, anns: Anns
) -> None:
    ben, ann = Browser(registry).sign_in("ben"), Browser(registry).sign_in("ann")
    for rule, parameter in pages(registry).items():
        if parameter is None or rule in ADMINS:
            continue
        hers, nobodys = anns.values(parameter)
        answers = [ben.get(path_of(rule, value)) for value in (hers, nobodys)]
        assert [answer.status_code for answer in answers] == [404, 404], rule
        same = [
            answer.text.replace(value, "…")
            for answer, value in zip(answers, (hers, nobodys), strict=True)
        ]
        token = r'name="csrf-token" content="\w+"'
        assert re.sub(token, "", same[0]) == re.sub(token, "", same[1]), rule
        assert ann.get(path_of(rule, hers)).status_code == 200, rule


def test_no_page_of_a_member_names_what_only_others_may_see(registry: Registry, anns: Anns) -> None:
    admins = registry.add(visibility="admins")["slug"]
    browser = Browser(registry).sign_in("ben")
    for rule, parameter in pages(registry).items():
        if parameter is None:
            text = browser.get(rule).text
            assert [one for one in (anns.provider, anns.job, admins) if one in text] == [], rule


def test_members_cannot_reach_the_admins_pages(registry: Registry, anns: Anns) -> None:
    ann, admin = Browser(registry).sign_in("ann"), Browser(registry).sign_in("admin")
    rules = pages(registry)
    for rule in ADMINS & set(rules):
        parameter = rules[rule]
        path = path_of(rule, anns.values(parameter)[0] if parameter else "")
        answer = ann.get(path)
        assert (answer.status_code, answer.mimetype) == (403, "text/html"), rule
        assert admin.get(path).status_code == 200, rule


def test_a_defect_of_a_page_is_a_page_that_tells_nothing(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser = Browser(registry).sign_in("ann")

    def spoiled(*_: object, **__: object) -> None:
        raise RuntimeError("canary words")

    monkeypatch.setitem(registry.app.view_functions, "console.show_providers", spoiled)
    answer = browser.get("/providers")
    assert (answer.status_code, answer.mimetype) == (500, "text/html")
    assert "canary" not in answer.text
    assert answer.headers["x-request-id"] in answer.text
    refused(browser.get("/providers", **{"X-Fragment": "x"}), 500, "internal_error")


def test_files_are_kept_under_their_version_and_only_files_are_sent(registry: Registry) -> None:
    browser = Browser(registry)
    text = browser.get("/login").text
    linked = re.findall(r'(?:src|href)="(/console/static/[^"]+)"', text)
    assert linked
    for url in linked:
        answer = browser.get(url)
        assert answer.status_code == 200, url
        assert "immutable" in answer.headers["Cache-Control"]
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        version = url.split("/")[3]
        again = browser.get(url, **{"If-None-Match": answer.headers["ETag"]})
        assert (again.status_code, again.data) == (304, b"")
        old = browser.get(url.replace(version, "0" * 16))
        assert (old.status_code, old.headers["Cache-Control"]) == (200, "no-cache")
    base = f"/console/static/{version}"
    for path in (
        "../pages.py",
        "%2e%2e/pages.py",
        "css",
        "css/",
        "no.css",
        "..%2flogin.py",
        "%00.js",
    ):
        assert browser.get(f"{base}/{path}").status_code == 404, path


def test_an_address_that_no_page_has_is_a_page_for_a_person_and_a_document_for_a_program(
    registry: Registry,
) -> None:
    browser = Browser(registry)
    answer = browser.get("/nope")
    assert (answer.status_code, answer.mimetype) == (404, "text/html")
    assert "/nope" in answer.text
    assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
    refused(browser.get("/v1/nope"), 404, "not_found")
    refused(browser.get("/nope", Accept="application/json"), 404, "not_found")


def test_an_error_stands_among_the_other_pages_for_whoever_is_signed_in(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann, stranger = Browser(registry).sign_in("ann"), Browser(registry)
    for path, status in (("/nope", 404), ("/jobs/nope", 404), ("/keys", 403), ("/jobs?x=1", 400)):
        answer = ann.get(path)
        assert answer.status_code == status, path
        for part in ('href="/models"', 'action="/logout"', "To the first page"):
            assert part in answer.text, path
        assert 'href="/audit"' not in answer.text, path
    assert "/logout" not in stranger.get("/nope").text

    def away(*_: object) -> None:
        raise StoreUnavailable("It is away.")

    monkeypatch.setattr(registry.parts.authenticator, "caller_in", away)
    for path, status in (("/nope", 404), ("/jobs", 503)):
        answer = ann.get(path)
        assert (answer.status_code, answer.mimetype) == (status, "text/html"), path
        assert "/logout" not in answer.text
