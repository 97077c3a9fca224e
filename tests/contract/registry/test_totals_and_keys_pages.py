"""The pages of usage, keys and the audit trail as HTML."""

from __future__ import annotations

import html
import re
import time
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from services.registry.console import usage_page
from shared.store.access import Role
from shared.store.schema import usage_hour
from shared.store.usage import COUNTS, KEYS, LATENCIES
from tests.contract.registry.browser import Browser
from tests.contract.registry.conftest import Registry
from tests.contract.registry.test_provider_pages import SCRIPT, shown
from tests.contract.registry.test_usage import use

PEOPLE = ("una", "ugo")  # whose usage no other test makes


@pytest.fixture
def people(registry: Registry) -> tuple[Browser, Browser]:
    """Two members, signed in."""
    for name in PEOPLE:
        if name not in registry.keys:
            registry.keys[name] = registry.add_key(name, Role.MEMBER)
    una, ugo = (Browser(registry).sign_in(name) for name in PEOPLE)
    return una, ugo


@pytest.fixture
def admin(registry: Registry) -> Browser:
    return Browser(registry).sign_in("admin")


def test_usage_shows_members_their_own_and_admins_everybodys(
    registry: Registry, people: tuple[Browser, Browser], admin: Browser
) -> None:
    una, ugo = people
    assert "Nothing was used" in shown(ugo, "/usage?days=400")
    name = registry.name()
    slug = registry.add(f"Usage {name} {SCRIPT}", slug=name)["slug"]
    use(registry, slug, who="una", tokens=1_234)
    for days in (1, 7, 30, 90, 400):
        text = shown(una, f"/usage?days={days}")
        assert "1,234" in text
        assert f"Usage {name}" in text
    assert "Usage " + name not in shown(ugo, "/usage")
    assert f"Usage {name}" in shown(admin, "/usage?owner=una")
    assert "Nothing was used" in shown(admin, "/usage?owner=nobody-at-all")
    assert f"Usage {name}" in shown(una, "/usage?owner=ugo")  # not an admin's: no effect
    assert SCRIPT not in una.get("/usage").text
    for by, part in (
        ("model", f"{slug}/m"),
        ("key", "una"),
        ("owner", "una"),
        ("day", datetime.now(UTC).date().isoformat()),
    ):
        assert part in shown(una, f"/usage?by={by}"), by
    assert una.get("/usage?days=3").status_code == 400


def test_usage_is_drawn_by_the_days_on_which_it_was(
    registry: Registry, people: tuple[Browser, Browser]
) -> None:
    _, ugo = people
    provider = registry.add(f"Drawn {registry.name()}")
    now = int(time.time()) // 3_600 * 3_600
    key = ugo.get("/v1/me").get_json()["key_id"]
    with registry.database.write() as tx:
        for days, requests in ((0, 3), (2, 40)):
            row = dict.fromkeys((*COUNTS, *LATENCIES), 0)
            keys = (now - days * 86_400, "ugo", key, provider["id"], "m")
            row |= {"requests": requests, "prompt_tokens": 10, LATENCIES[4]: requests}
            tx.execute(sa.insert(usage_hour).values(**dict(zip(KEYS, keys, strict=True)), **row))
    page = html.unescape(ugo.get("/usage?days=7").text)
    today, before = (
        (datetime.now(UTC) - timedelta(days=days)).strftime("%d %b") for days in (0, 2)
    )
    titles = re.findall(r"<title>([^<]+)</title></(?:rect|circle)>", page)
    assert f"{before}: {provider['name']} 40" in titles  # requests
    assert f"{today}: {provider['name']} 3" in titles
    assert f"{today}: {provider['name']} 10" in titles  # tokens
    assert [title for title in titles if title.endswith(" s")]  # latency
    assert "43 " in shown(ugo, "/usage?days=7")


def test_of_many_providers_the_busiest_are_drawn_and_the_rest_as_one(
    registry: Registry, admin: Browser
) -> None:
    owner, now = registry.name(), int(time.time()) // 3_600 * 3_600
    made = [registry.add(f"Busy {owner} {number}") for number in range(9)]
    with registry.database.write() as tx:
        for number, provider in enumerate(made, 1):
            row = dict.fromkeys((*COUNTS, *LATENCIES), 0)
            row |= {"requests": number, "prompt_tokens": 100 * number, LATENCIES[4]: number}
            keys = (now, owner, "key_1", provider["id"], "m")
            tx.execute(sa.insert(usage_hour).values(**dict(zip(KEYS, keys, strict=True)), **row))
    for days in (1, 90):
        page = html.unescape(admin.get(f"/usage?owner={owner}&days={days}").text)
        titles = re.findall(r"<title>[^<]+?: ([^<]+)</title></(?:rect|circle)>", page)
        drawn = [f"Busy {owner} {number}" for number in (8, 7, 6, 5, 4)]
        requests = [f"{name} {9 - at}" for at, name in enumerate(drawn)] + ["others 10"]
        tokens = [f"{name} {900 - 100 * at}" for at, name in enumerate(drawn)] + ["others 1,000"]
        assert titles[:6] == requests
        assert titles[-6:] == tokens
        assert [title.rpartition(" ")[0].rpartition(" ")[0] for title in titles[6:-6]] == drawn


def test_a_long_table_of_usage_names_where_the_rest_is(
    registry: Registry, people: tuple[Browser, Browser], monkeypatch: pytest.MonkeyPatch
) -> None:
    una, _ = people
    for _ in (1, 2):
        use(registry, registry.add()["slug"], who="una", tokens=1)
    totals = {}
    for most in (200, 1):
        monkeypatch.setattr(usage_page, "MOST_ROWS", most)
        for by in ("model", "provider"):
            text = shown(una, f"/usage?by={by}")
            assert ("1 of more: GET /v1/usage has them all" in text) is (most == 1)
            totals[most, by] = re.findall(r"Requests ([\d,]+) .*? Tokens in ([\d,]+)", text)
            assert totals[most, by]
    assert len({str(total) for total in totals.values()}) == 1, "the totals are of all rows"


def test_of_one_name_that_two_had_usage_shows_the_ids(
    registry: Registry, people: tuple[Browser, Browser]
) -> None:
    una, _ = people
    name = f"Twice {registry.name()}"
    deleted = registry.add(name)
    use(registry, deleted["slug"], who="una", tokens=1)
    assert registry.call("DELETE", f"/v1/providers/{deleted['id']}").status_code == 204
    living = registry.add(name, slug=deleted["slug"])
    use(registry, living["slug"], who="una", tokens=1)
    page = html.unescape(una.get("/usage").text)
    for provider in (deleted, living):
        assert f'<th scope="row">{name} ({provider["id"]})</th>' in page
        assert f": {name} ({provider['id']}) 1</title>" in page
    assert "una (key_" not in shown(una, "/usage?by=key")
    registry.keys["una's other"] = registry.add_key("una", Role.MEMBER)
    use(registry, living["slug"], who="una's other", tokens=1)
    assert len(set(re.findall(r"una \(key_\w+\)", shown(una, "/usage?by=key")))) == 2


def rows(browser: Browser, path: str) -> list[str]:
    """The rows of the page's table as text."""
    found = re.findall(r"<tr>(.*?)</tr>", browser.get(path).text, re.DOTALL)
    plain = [re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", row)) for row in found]
    return [html.unescape(row) for row in plain if "scope" not in row][1:]


def test_keys_are_shown_in_every_state_without_their_secret(
    registry: Registry, admin: Browser
) -> None:
    body = {"name": f"Keys {SCRIPT}", "owner": "kay", "limits": {"requests_per_minute": 7}}
    living = registry.post("/v1/keys", body).get_json()
    registry.add_key("kay", Role.MEMBER, expires_at=2.0)
    registry.add_key("kay", Role.MEMBER, revoked_at=3.0)
    revoked, expired, alive = rows(admin, "/keys?owner=kay")
    assert "Revoked" in revoked
    assert "Expired" in expired
    assert "Valid" in alive
    assert "7 requests a minute" in alive
    assert SCRIPT in alive
    page = admin.get("/keys?owner=kay").text
    assert SCRIPT not in page
    assert living["key"] not in page
    assert len(rows(admin, "/keys?owner=kay&state=expired")) == 1
    assert len(rows(admin, "/keys?owner=kay&limit=2")) == 2
    assert "this session" in shown(admin, "/keys?owner=admin")
    assert "No key matches" in shown(admin, "/keys?owner=nobody-at-all")


def test_the_trail_tells_who_did_what_and_filters(registry: Registry, admin: Browser) -> None:
    name = registry.name()
    made = registry.add(f"Trail {name}")
    answer = admin.call("PATCH", f"/v1/providers/{made['id']}", {"description": SCRIPT})
    assert answer.status_code == 200, answer.text
    changed, created = rows(admin, f"/audit?subject={made['id']}")
    assert "Provider changed" in changed
    assert "fields: description" in changed
    assert "Provider added" in created
    assert SCRIPT not in admin.get(f"/audit?subject={made['id']}").text
    assert "alert" not in changed  # the value is nobody's business
    (only,) = rows(admin, f"/audit?subject={made['id']}&action=provider.create&actor=admin")
    assert "Provider added" in only
    today = datetime.now(UTC).date()
    inside = f"from={today - timedelta(days=1)}&to={today + timedelta(days=1)}"
    assert len(rows(admin, f"/audit?subject={made['id']}&{inside}")) == 2
    later = f"from={today + timedelta(days=1)}"
    assert "Nothing matches" in shown(admin, f"/audit?subject={made['id']}&{later}")
    assert admin.get("/audit?from=yesterday").status_code == 400
    ages = admin.get("/audit?from=0001-01-01&to=9999-12-31")  # no day comes behind the last
    assert ages.status_code == 200, ages.text
    first = admin.get(f"/audit?subject={made['id']}&limit=1").text
    (following,) = re.findall(r'href="([^"]+)" rel="next"', first)
    (last,) = rows(admin, html.unescape(following))
    assert "Provider added" in last
