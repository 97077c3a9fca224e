"""Every spelling of the corpus: what it resolves to and what the policy says then, or why not."""

from __future__ import annotations

import ipaddress
from collections import Counter

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared.errors import InvalidValue
from shared.upstream.addresses import LOOPBACK, PRIVATE, parse
from shared.upstream.endpoint import MAX_LENGTH, Endpoint, is_resolved, resolve
from shared.upstream.policy import OutboundPolicy
from tests.unit.upstream.url_corpus import LITERALS, NAMES, QUERIES, REFUSED, Verdict

EVERYTHING = (ipaddress.ip_network("0.0.0.0/0"), ipaddress.ip_network("::/0"))
ALLOW_LISTS = {
    "": OutboundPolicy(),
    "loopback": OutboundPolicy(allowed=LOOPBACK),
    "private": OutboundPolicy(allowed=PRIVATE),
    "0.0.0.0/0,::/0": OutboundPolicy(allowed=EVERYTHING),
}
OPENED_BY = {
    Verdict.PUBLIC: set(ALLOW_LISTS),
    Verdict.LOOPBACK: {"loopback", "0.0.0.0/0,::/0"},
    Verdict.PRIVATE: {"private", "0.0.0.0/0,::/0"},
    Verdict.SPECIAL: {"0.0.0.0/0,::/0"},
    Verdict.NEVER: set(),
}
LITERAL_ROWS = [(*row, verdict) for verdict, rows in LITERALS.items() for row in rows]
REFUSED_ROWS = [(typed, why) for why, rows in REFUSED.items() for typed in rows]
RESOLVING = [str(row[0]) for row in (*NAMES, *QUERIES, *LITERAL_ROWS)]


def test_the_corpus_is_large_and_holds_nothing_twice() -> None:
    typed = Counter([*RESOLVING, *(row[0] for row in REFUSED_ROWS)])
    assert typed.total() >= 300
    assert [spelling for spelling, times in typed.items() if times > 1] == []


@pytest.mark.parametrize(("typed", "base", "host", "port"), NAMES)
def test_a_spelling_of_a_server_gives_both_urls(
    typed: str, base: str, host: str, port: int
) -> None:
    assert resolve(typed) == Endpoint(f"{base}/chat/completions", f"{base}/models", host, port)
    assert parse(host) is None


@pytest.mark.parametrize(("typed", "base", "query"), QUERIES)
def test_a_query_is_kept_on_both_urls(typed: str, base: str, query: str) -> None:
    found = resolve(typed)
    assert found.chat_url == f"{base}/chat/completions?{query}"
    assert found.models_url == f"{base}/models?{query}"


@pytest.mark.parametrize(("typed", "host", "port", "verdict"), LITERAL_ROWS)
def test_a_literal_address_is_judged_by_the_allow_list(
    typed: str, host: str, port: int, verdict: Verdict
) -> None:
    found = resolve(typed)
    assert (found.host, found.port) == (host, port)
    opened = {
        allow
        for allow, policy in ALLOW_LISTS.items()
        if policy.refusal_of_literal(found.host, found.port) is None
    }
    assert opened == OPENED_BY[verdict]


@pytest.mark.parametrize(("typed", "why"), REFUSED_ROWS)
def test_what_is_refused_says_why(typed: str, why: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        resolve(typed)
    assert refused.value.param == "endpoint"
    assert refused.value.message.startswith("Expected an address like https://host/v1")
    assert why in refused.value.message


@pytest.mark.parametrize("typed", ["https://user:hunter2@h/v1", "https://h/v1?key=hunter2"])
def test_a_refusal_never_repeats_a_password(typed: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        resolve(typed)
    assert "hunter2" not in refused.value.message


def test_what_was_resolved_resolves_to_itself() -> None:
    """The client sends to such URLs only, so that nothing reads them in another way than we do."""
    for found in map(resolve, RESOLVING):
        for url in (found.chat_url, found.models_url):
            assert resolve(url) == found
            assert is_resolved(url)


def test_what_was_refused_is_no_resolved_url() -> None:
    assert [typed for typed, _ in REFUSED_ROWS if is_resolved(typed)] == []


@pytest.mark.parametrize(
    "url",
    ["https://H/v1/models", "https://h:443/v1/models", "h:80/v1/models", "https://h/v1/models/"],
)
def test_a_spelling_that_would_be_written_otherwise_is_no_resolved_url(url: str) -> None:
    resolve(url)
    assert not is_resolved(url)


TEXTS = st.text(st.characters(codec=None), max_size=60)  # lone surrogates, too


@given(TEXTS | st.from_regex(r"(https?://)?[a-z0-9.:/\[\]@?#%-]{0,40}"))
@example("h/" + "é" * 340)
def test_any_text_resolves_or_is_refused(typed: str) -> None:
    try:
        found = resolve(typed)
    except InvalidValue:
        return
    assert found.chat_url.isascii()
    assert found.chat_url.isprintable()
    assert len(found.chat_url) <= MAX_LENGTH
    assert found.host == found.host.lower()
    assert resolve(found.chat_url) == resolve(found.models_url) == found
