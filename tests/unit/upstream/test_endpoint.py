"""Every row of the resolver's table, what it normalises, and what it refuses with which words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import InvalidValue
from shared.upstream.endpoint import Endpoint, resolve

TABLE = [
    # typed, base of both URLs
    ("https://h/v1/chat/completions", "https://h/v1"),
    ("https://h/v1/chat/completions/", "https://h/v1"),
    ("https://h/v1", "https://h/v1"),
    ("https://h/v1/", "https://h/v1"),
    ("http://h:11434", "http://h:11434/v1"),
    ("h:11434", "http://h:11434/v1"),
    ("localhost:8000/", "http://localhost:8000/v1"),
    ("https://openrouter.ai/api/v1", "https://openrouter.ai/api/v1"),
    ("https://api.groq.com/openai/v1", "https://api.groq.com/openai/v1"),
    (
        "https://generativelanguage.googleapis.com/v1beta/openai/",
        "https://generativelanguage.googleapis.com/v1beta/openai",
    ),
    ("https://h/v1/models", "https://h/v1"),
    ("https://h/v1/completions", "https://h/v1"),
    ("https://h/custom/path", "https://h/custom/path"),
]


@pytest.mark.parametrize(("typed", "base"), TABLE)
def test_every_row_of_the_table_gives_both_urls(typed: str, base: str) -> None:
    found = resolve(typed)
    assert (found.chat_url, found.models_url) == (f"{base}/chat/completions", f"{base}/models")


@pytest.mark.parametrize(
    "typed",
    [
        "https://h/openai/deployments/d/chat/completions?api-version=2024-06-01",
        "https://h/openai/deployments/d?api-version=2024-06-01",
        "https://h/openai/deployments/d/models/?api-version=2024-06-01",
    ],
)
def test_a_query_is_kept_on_both(typed: str) -> None:
    base = "https://h/openai/deployments/d"
    assert resolve(typed) == Endpoint(
        chat_url=f"{base}/chat/completions?api-version=2024-06-01",
        models_url=f"{base}/models?api-version=2024-06-01",
        host="h",
        port=443,
    )


@pytest.mark.parametrize(
    ("typed", "base", "host", "port"),
    [
        ("HTTPS://API.Example.COM/V1", "https://api.example.com/V1", "api.example.com", 443),
        ("https://h:443/v1", "https://h/v1", "h", 443),
        ("http://h:80", "http://h/v1", "h", 80),
        ("http://h:443", "http://h:443/v1", "h", 443),
        ("https://h:08443", "https://h:8443/v1", "h", 8443),
        ("example.com", "https://example.com/v1", "example.com", 443),
        ("example.com/v1", "https://example.com/v1", "example.com", 443),
        ("localhost", "http://localhost/v1", "localhost", 80),
        ("10.0.0.7", "http://10.0.0.7/v1", "10.0.0.7", 80),
        ("[::1]", "http://[::1]/v1", "::1", 80),
        ("https://[FE80:0:0:0::1]:8443/v1", "https://[fe80::1]:8443/v1", "fe80::1", 8443),
        ("my_service:8000/v1//", "http://my_service:8000/v1", "my_service", 8000),
        ("https://bücher.example/v1", "https://xn--bcher-kva.example/v1", None, 443),
        ("１２７.0.0.1:8000", "http://127.0.0.1:8000/v1", "127.0.0.1", 8000),  # noqa: RUF001
        ("https://h./v1", "https://h./v1", "h.", 443),
        (" https://h/v1\n", "https://h/v1", "h", 443),
        ("https://h?x=1", "https://h/v1", "h", 443),
        ("https://h/v1?", "https://h/v1", "h", 443),
        ("https://h/é/v1", "https://h/%C3%A9/v1", "h", 443),
        ("https://h/a%20b/v1", "https://h/a%20b/v1", "h", 443),
        ("https://h/chat/completions", "https://h", "h", 443),
    ],
)
def test_spellings_of_one_server_meet_in_one_form(
    typed: str, base: str, host: str | None, port: int
) -> None:
    found = resolve(typed)
    assert found.chat_url.partition("?")[0] == f"{base}/chat/completions"
    assert found.port == port
    assert host is None or found.host == host


@pytest.mark.parametrize(
    ("typed", "why"),
    [
        ("", "got nothing"),
        ("   ", "got nothing"),
        ("https://", "no host"),
        ("/v1", "no host"),
        ("//h/v1", "no host"),
        (":8000", "no host"),
        ("https://h/" + "a" * 2048, "shorten it"),
        ("https://user:pa55@h/v1", "user name or password"),
        ("user@h", "user name or password"),
        ("https://@h", "user name or password"),
        ("https://h@evil.example:80/v1", "user name or password"),
        ("https://h/v1#models", "fragment"),
        ("https://h#", "fragment"),
        ("ftp://h/v1", "the scheme ftp"),
        ("file:///etc/passwd", "the scheme file"),
        ("gopher://h:70/_x", "the scheme gopher"),
        ("javascript:alert(1)", "the port"),
        ("http:h/v1", "scheme without //"),
        ("https:/h/v1", "scheme without //"),
        ("https://h/a b", "space or control"),
        ("https://h/\x00", "space or control"),
        ("https://h\r\nX-Evil: 1", "space or control"),
        ("https://h\u200b/v1", "space or control"),
        ("https://h\u202e/v1", "space or control"),
        ("https://h\\@evil/v1", "backslash"),
        ("http://h:0", "the port"),
        ("http://h:65536", "the port"),
        ("http://h:", "the port"),
        ("http://h:+80", "the port"),
        ("http://h:８０", "the port"),  # noqa: RUF001
        ("http://h:80x", "the port"),
        ("::1", "brackets"),
        ("fe80::1/v1", "brackets"),
        ("http://[::1", "brackets"),
        ("http://[::1]8000", "brackets"),
        ("http://[]", "no IPv6 address"),
        ("http://[127.0.0.1]", "no IPv6 address"),
        ("http://[fe80::1%25eth0]", "zone"),
        ("http://[fe80::1%eth0]", "zone"),
        ("http://0177.0.0.1", "number as host"),
        ("http://0x7f.0.0.1", "number as host"),
        ("http://0x7f000001", "number as host"),
        ("http://2130706433", "number as host"),
        ("http://127.1", "number as host"),
        ("http://127.0.1", "number as host"),
        ("http://127.0.0.1.", "number as host"),
        ("http://127.0.0.256", "number as host"),
        ("http://1.2.3.4.5", "number as host"),
        ("http://127.0.0.0x1", "number as host"),
        ("http://０x7f.1", "number as host"),  # noqa: RUF001
        ("http://evil.example.0x7f", "number as host"),
        ("http://a..b", "characters or lengths"),
        ("http://-a.example", "characters or lengths"),
        ("http://127%2e0.0.1", "number as host"),
        ("http://h%2eexample", "characters or lengths"),
        ("http://a,b", "characters or lengths"),
        ("http://" + "a" * 64 + ".example", "characters or lengths"),
        ("http://" + "a." * 130 + "example", "characters or lengths"),
        ("http://\u2488.example", "no host name has"),
        ("https://h/v1/../admin", "part of the path"),
        ("https://h/v1/%2E%2e/admin", "part of the path"),
        ("https://h/./v1", "part of the path"),
    ],
)
def test_what_is_refused_says_why(typed: str, why: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        resolve(typed)
    assert refused.value.param == "endpoint"
    assert refused.value.message.startswith("Expected an address like https://host/v1")
    assert why in refused.value.message


def test_a_refusal_never_repeats_a_password() -> None:
    with pytest.raises(InvalidValue) as refused:
        resolve("https://user:hunter2@h/v1")
    assert "hunter2" not in refused.value.message


@given(st.text(max_size=60) | st.from_regex(r"(https?://)?[a-z0-9.:/\[\]@?#%-]{0,40}"))
def test_any_text_resolves_or_is_refused(typed: str) -> None:
    try:
        found = resolve(typed)
    except InvalidValue:
        return
    assert found.chat_url.isascii()
    assert found.chat_url.isprintable()
    assert found.host == found.host.lower()
    assert resolve(found.chat_url) == found


@pytest.mark.parametrize("route", ["chat_url", "models_url"])
@pytest.mark.parametrize("typed", [typed for typed, _ in TABLE])
def test_resolving_a_result_again_changes_nothing(typed: str, route: str) -> None:
    found = resolve(typed)
    assert resolve(getattr(found, route)) == found
