"""URLs of webhooks: as strict as endpoints, and otherwise the URL that was typed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import InvalidValue
from shared.upstream.endpoint import (
    MAX_LENGTH,
    WebhookUrl,
    is_resolved,
    is_webhook_url,
    resolve,
    webhook_url,
)
from tests.unit.upstream.url_corpus import LITERALS, NAMES, REFUSED

PARAM = "background_options.webhook.url"


def url_of(typed: str) -> WebhookUrl:
    return webhook_url(typed, param=PARAM)


@pytest.mark.parametrize(
    ("typed", "url", "host", "port"),
    [
        ("https://h", "https://h/", "h", 443),
        ("https://h/", "https://h/", "h", 443),
        (
            " HTTPS://Ex.COM:443/In//Box/?T=1&t=%2F ",
            "https://ex.com/In//Box/?T=1&t=%2F",
            "ex.com",
            443,
        ),
        ("http://h:8080/v1/models/", "http://h:8080/v1/models/", "h", 8080),
        ("http://[::1]:80/x", "http://[::1]/x", "::1", 80),
        ("https://ü.de/ä?ö=[1]", "https://xn--tda.de/%C3%A4?%C3%B6=[1]", "xn--tda.de", 443),
        ("https://h/x?", "https://h/x", "h", 443),
    ],
)
def test_a_url_stays_as_typed_but_for_what_every_client_would_change(
    typed: str, url: str, host: str, port: int
) -> None:
    assert url_of(typed) == WebhookUrl(url, host, port)


def test_whatever_is_no_endpoint_is_no_webhook_either() -> None:
    """But for a key in its query: a webhook's URL is sealed, and no answer shows it."""
    for why, rows in REFUSED.items():
        if why == "a key in its query":
            continue
        for typed in rows:
            if why == "shorten it" and typed.isascii() and len(typed) <= MAX_LENGTH:
                continue  # too long with a route of ours behind it
            with pytest.raises(InvalidValue) as refused:
                url_of(typed)
            assert (refused.value.param, why in refused.value.message) == (PARAM, True)
            assert not is_webhook_url(typed)


@pytest.mark.parametrize("typed", REFUSED["a key in its query"])
def test_a_url_may_have_a_key_in_its_query(typed: str) -> None:
    url = typed if "://" in typed else f"http://{typed}"
    assert url_of(url).url.endswith(url.partition("?")[2])


@pytest.mark.parametrize("typed", ["h", "localhost:8000/hook", "//h/x", "10.0.0.1", ""])
def test_a_url_has_a_scheme(typed: str) -> None:
    with pytest.raises(InvalidValue, match=r"^Expected a URL like https://host/path, got "):
        url_of(typed)


def test_an_address_means_the_same_as_in_an_endpoint() -> None:
    typed_ones = [row[0] for rows in LITERALS.values() for row in rows]
    for typed in (*typed_ones, *(row[0] for row in NAMES)):
        url = typed.strip() if "://" in typed else "http://" + typed.strip()
        found, meant = url_of(url), resolve(url)
        assert (found.host, found.port) == (meant.host, meant.port)


@given(st.text(st.characters(codec=None), max_size=40))
def test_what_was_written_is_read_as_itself_and_is_no_endpoint_by_accident(path: str) -> None:
    try:
        found = url_of(f"https://h/{path}")
    except InvalidValue:
        return
    assert found.url.isascii()
    assert len(found.url) <= MAX_LENGTH
    assert url_of(found.url) == found
    assert is_webhook_url(found.url)
    assert not is_resolved(found.url) or found.url.endswith(("/models", "/chat/completions"))


@pytest.mark.parametrize("url", ["https://h", "https://H/x", "https://h:443/x", "https://h/ä"])
def test_another_spelling_is_not_dialled(url: str) -> None:
    url_of(url)
    assert not is_webhook_url(url)
