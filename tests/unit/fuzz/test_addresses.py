"""Addresses in every spelling that somebody reads: what the system would dial is judged."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from shared.errors import InvalidValue
from shared.upstream.addresses import LOOPBACK, PRIVATE, parse
from shared.upstream.endpoint import is_resolved, resolve, webhook_url
from shared.upstream.guard import ForbiddenAddress, GuardedResolver, guarded_sockets
from shared.upstream.policy import OutboundPolicy
from tests.depth import bounded
from tests.unit.upstream.addresses_corpus import NEVER
from tests.unit.upstream.url_corpus import LITERALS, NAMES, QUERIES, REFUSED

CLOSED = OutboundPolicy()
OPENED = OutboundPolicy(allowed=(*LOOPBACK, *PRIVATE))
TYPED = [str(row[0]) for row in (*NAMES, *QUERIES)]
TYPED += [str(row[0]) for rows in LITERALS.values() for row in rows]
TYPED += [typed for rows in REFUSED.values() for typed in rows]
FORBIDDEN_V4 = st.one_of(
    st.sampled_from(["169.254.169.254", "127.0.0.1", "0.0.0.0", "10.0.0.1", "100.100.100.200"]).map(
        ipaddress.IPv4Address
    ),
    *(
        st.ip_addresses(network=network)
        for network in ("127.0.0.0/8", "169.254.0.0/16", "10.0.0.0/8", "0.0.0.0/8", "224.0.0.0/4")
    ),
)
DIGITS: st.SearchStrategy[Callable[[int], str]] = st.sampled_from(
    [str, "{:#x}".format, "{:#X}".format, "0{:o}".format, "{:04d}".format]
)
FULL_WIDTH = str.maketrans("0123456789.", "０１２３４５６７８９。")  # noqa: RUF001


@st.composite
def spelled_v4(draw: st.DrawFn, address: ipaddress.IPv4Address) -> str:
    """As inet_aton reads it: one to four numbers, each decimal, octal or hexadecimal."""
    parts = list(address.packed)
    whole = draw(st.integers(1, 4))  # the last of them holds what is left
    head, rest = parts[: whole - 1], parts[whole - 1 :]
    numbers = [*head, int.from_bytes(bytes(rest), "big")]
    text = ".".join(draw(DIGITS)(number) for number in numbers)
    match draw(st.integers(0, 9)):
        case 0:
            return text + "."
        case 1:
            return text.translate(FULL_WIDTH)
        case 2:
            return "".join(f"%{ord(char):02x}" for char in text)
        case 3:
            return text.replace(".", "\u3002")
    return text


@st.composite
def spelled_v6(draw: st.DrawFn, address: ipaddress.IPv4Address) -> str:
    """The address inside an IPv6 one, in brackets."""
    number = int(address)
    high, low = number >> 16, number & 0xFFFF
    text = draw(
        st.sampled_from(
            [
                f"::ffff:{address}",
                f"::ffff:{high:x}:{low:x}",
                f"0:0:0:0:0:FFFF:{high:X}:{low:X}",
                f"::{address}",
                f"::ffff:0:{address}",
                f"64:ff9b::{address}",
                f"64:ff9b:1::{address}",
                f"2002:{high:x}:{low:x}::1",
                f"2001:0:{high:x}:{low:x}::",
                f"2001::{high ^ 0xFFFF:x}:{low ^ 0xFFFF:x}",
                f"2001:db8::5efe:{address}",
                f"fe80::5efe:{address}",
            ]
        )
    )
    zone = draw(st.sampled_from(["", "", "", "%lo", "%25lo", "%1"]))
    return f"[{text}{zone}]"


@st.composite
def spellings(draw: st.DrawFn) -> str:
    address: Any = draw(FORBIDDEN_V4)
    host = draw(spelled_v4(address) | spelled_v6(address))
    scheme = draw(st.sampled_from(["", "http://", "https://", "HTTP://", "http:", "//"]))
    login = draw(st.sampled_from(["", "", "", "a@", "8.8.8.8@", "8.8.8.8:80@"]))
    tail = draw(
        st.sampled_from(["", "/", "/v1", ":80", ":08000/v1", "\\@8.8.8.8", "?x", "#@8.8.8.8"])
    )
    return scheme + login + host + tail


def dialled(host: str) -> list[str]:
    """What the socket layer takes `host` for without asking a name server."""
    try:
        found = socket.getaddrinfo(host, 80, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except (OSError, UnicodeError):
        return []
    return [str(info[4][0]) for info in found]


@bounded(100)
@given(spellings())
def test_no_spelling_of_a_forbidden_address_gets_past_the_registry(typed: str) -> None:
    for url in (typed, typed.partition("://")[2] or typed):
        try:
            found = resolve(url)
        except InvalidValue:
            continue
        if found.host == "http":  # `http:1` is a host and its port, as `localhost:1` is
            continue
        taken_for = dialled(found.host)
        assert taken_for, f"{found.host} is a name to us, and was meant as an address"
        assert CLOSED.refusal_of_literal(found.host, found.port) is not None
        assert is_resolved(found.chat_url)


@bounded(100)
@given(spellings() | st.from_regex(r"[0-9a-fxX.]{1,24}", fullmatch=True))
def test_what_the_socket_layer_takes_for_an_address_is_one_to_us(typed: str) -> None:
    try:
        found = resolve(typed)
    except InvalidValue:
        return
    for address in dialled(found.host):
        assert parse(found.host) is not None, found.host
        for policy in (CLOSED, OPENED):
            refused = policy.refusal_of_literal(found.host, found.port)
            assert (policy.refusal(address, found.port) is None) == (refused is None)
    if parse(found.host) is None:
        with pytest.raises(OSError, match="illegal IP address"):
            socket.inet_aton(found.host)


Answer = st.lists(
    FORBIDDEN_V4 | st.sampled_from(NEVER) | st.ip_addresses() | st.just("8.8.8.8"),
    min_size=1,
    max_size=4,
)


@bounded(40)
@given(Answer)
def test_whatever_a_name_server_answers_nothing_forbidden_is_dialled(found: Sequence[Any]) -> None:
    addresses = [str(address) for address in found]
    infos: list[Any] = [
        (socket.AF_INET6 if ":" in one else socket.AF_INET, 1, 6, "", (one, 80))
        for one in addresses
    ]
    forbidden = [one for one in addresses if CLOSED.refusal(one, 80) is not None]

    async def resolved() -> list[str]:
        resolver = GuardedResolver(CLOSED, lambda *_: infos)
        try:
            return [info[4][0] for info in await resolver.resolve("name.test", 80)]
        finally:
            await resolver.close()

    assume(forbidden)
    with pytest.raises(ForbiddenAddress):
        asyncio.run(resolved())
    dial = guarded_sockets(CLOSED)
    for info in infos:
        if info[4][0] in forbidden:
            with pytest.raises(ForbiddenAddress):
                dial(info)


PIECES = st.sampled_from(
    ["/", "/v1", "//", ":80", ":443", "?a=b", "%2f", "%2e%2e/", "é", "]", "[", "@"]
)


@bounded(100)
@given(st.sampled_from(TYPED), st.lists(st.tuples(st.integers(0, 60), PIECES), max_size=3))
def test_what_resolves_stays_what_it_is(typed: str, inserted: list[tuple[int, str]]) -> None:
    for place, piece in inserted:
        typed = typed[:place] + piece + typed[place:]
    try:
        found = resolve(typed)
    except InvalidValue as refused:
        refused.message.encode()
        return
    for url in (found.chat_url, found.models_url):
        assert resolve(url) == found
    if "?" not in found.chat_url:
        base = found.chat_url.removesuffix("/chat/completions")
        for spelling in (base, base + "/"):
            again = resolve(spelling)
            assert (again.host, again.port) == (found.host, found.port)
            assert resolve(again.chat_url) == again
    assert webhook_url(found.chat_url, param="x").host == found.host
