"""What may be dialled, for every range and every disguise of an address."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.config import Settings, load
from shared.upstream.policy import OutboundPolicy
from tests.unit.upstream import addresses_corpus as corpus


def settings(**variables: str) -> Settings:
    return load({"DRAGOMAN_DATA_DIR": "/srv/dragoman", **variables})


def policy(allow: str = "", local: tuple[str, ...] = (), **variables: str) -> OutboundPolicy:
    names = {
        "db": ["10.1.0.5"],
        "cache": ["10.1.0.6", "fd00::6"],
        "localhost": ["127.0.0.1", "::1"],
    }
    return OutboundPolicy.from_settings(
        settings(DRAGOMAN_OUTBOUND_ALLOW=allow, **variables),
        lookup=lambda name: names.get(name, []),
        is_local=lambda address: address in local,
    )


CLOSED = policy()
WORDS = policy("loopback, private")
WIDE = policy("0.0.0.0/0,::/0,loopback,private")


@pytest.mark.parametrize("address", corpus.NEVER)
def test_the_never_list_holds_against_every_allow_list(address: str) -> None:
    for each in (CLOSED, WORDS, WIDE):
        assert each.refusal(address, 80) is not None


@pytest.mark.parametrize(
    ("group", "word"),
    [(corpus.LOOPBACK, "loopback"), (corpus.PRIVATE, "private"), (corpus.SPECIAL, None)],
)
def test_local_networks_are_closed_until_the_allow_list_opens_them(
    group: tuple[str, ...], word: str | None
) -> None:
    other = {"loopback": "private", "private": "loopback", None: "loopback,private"}[word]
    for address in group:
        assert CLOSED.refusal(address, 80) is not None, address
        assert policy(other).refusal(address, 80) is not None, address
        assert WIDE.refusal(address, 80) is None, address
        if word is not None:
            assert policy(word).refusal(address, 80) is None, address


@pytest.mark.parametrize("address", corpus.PUBLIC)
def test_public_addresses_are_open(address: str) -> None:
    assert CLOSED.refusal(address, 443) is None


@pytest.mark.parametrize("text", corpus.NOT_ADDRESSES)
def test_what_is_no_address_is_refused_and_as_a_name_not_judged(text: str) -> None:
    assert WIDE.refusal(text, 80) is not None
    assert WIDE.refusal_of_literal(text, 80) is None


def test_the_corpus_is_large_and_names_nothing_twice() -> None:
    groups = (corpus.NEVER, corpus.LOOPBACK, corpus.PRIVATE, corpus.SPECIAL, corpus.PUBLIC)
    addresses = [address for group in groups for address in group]
    assert len(addresses) >= 150
    assert len(set(addresses)) == len(addresses)


def test_a_network_in_the_allow_list_opens_exactly_itself() -> None:
    narrow = policy("10.20.0.0/16, fd12::/16")
    assert narrow.refusal("10.20.3.4", 80) is None
    assert narrow.refusal("::ffff:10.20.3.4", 80) is None
    assert narrow.refusal("fd12::9", 80) is None
    assert narrow.refusal("10.21.0.1", 80) is not None
    assert narrow.refusal("127.0.0.1", 80) is not None


def test_a_refusal_says_what_the_address_is_and_which_word_opens_it() -> None:
    assert CLOSED.refusal("10.0.0.1", 80) == (
        "10.0.0.1 is a private network; add private to DRAGOMAN_OUTBOUND_ALLOW to permit it"
    )
    assert CLOSED.refusal("198.18.0.1", 80) == (
        "198.18.0.1 is a special-purpose network; add 198.18.0.1/32 to DRAGOMAN_OUTBOUND_ALLOW "
        "to permit it"
    )
    hidden = CLOSED.refusal("2002:a9fe:a9fe::", 80)
    assert hidden is not None
    assert hidden.startswith("169.254.169.254 is a cloud's metadata service")
    assert hidden.endswith("which hides in 2002:a9fe:a9fe::")


def test_literals_are_judged_and_names_are_not() -> None:
    assert CLOSED.refusal_of_literal("127.0.0.1", 80) is not None
    assert CLOSED.refusal_of_literal("::1", 80) is not None
    assert CLOSED.refusal_of_literal("8.8.8.8", 80) is None
    assert CLOSED.refusal_of_literal("metadata.google.internal", 80) is None


@pytest.mark.parametrize(
    ("address", "port"),
    [
        ("127.0.0.1", 8642),  # the registry itself, on loopback
        ("127.9.9.9", 8642),
        ("::1", 8642),
        ("::ffff:127.0.0.1", 8642),
        ("10.1.0.5", 5432),  # the database, by the address its name had at start
        ("::ffff:10.1.0.5", 5432),
        ("10.1.0.6", 6380),  # Redis, at its own port
        ("fd00::6", 6380),
    ],
)
def test_our_own_services_are_refused_although_their_network_is_allowed(
    address: str, port: int
) -> None:
    ours = policy(
        "loopback,private",
        DATABASE_URL="postgresql://u:p@db/dragoman",
        REDIS_URL="redis://cache:6380/0",
    )
    assert "Dragoman's own services" in (ours.refusal(address, port) or "")
    assert ours.refusal(address, port + 1) is None


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_listening_everywhere_makes_the_port_ours_on_every_local_address(host: str) -> None:
    local = ("192.168.1.20", "fd00::20", "203.0.113.20")
    ours = policy("loopback,private", local, DRAGOMAN_HOST=host, DRAGOMAN_PORT="9000")
    for address in (*local, "127.0.0.1", "::1"):
        assert ours.refusal(address, 9000) is not None
    assert ours.refusal("192.168.1.21", 9000) is None  # another machine
    assert ours.refusal("192.168.1.20", 9001) is None  # another service of this machine


def test_a_service_on_an_address_of_this_machine_is_refused_on_all_of_them() -> None:
    """Valkey and PostgreSQL listen on loopback, too, unless told otherwise."""
    local = ("10.1.0.6", "192.168.1.20")
    ours = policy("loopback,private", local, REDIS_URL="redis://cache:6380/0")
    for address in (*local, "127.0.0.1", "::1"):
        assert ours.refusal(address, 6380) is not None
    assert ours.refusal("192.168.1.21", 6380) is None


def test_listening_by_name_counts_as_its_addresses() -> None:
    ours = policy("loopback", DRAGOMAN_HOST="localhost")
    assert ours.refusal("::1", 8642) is not None
    assert ours.refusal_of_name("LOCALHOST.", 8642) is not None
    assert ours.refusal_of_name("localhost", 8000) is None


def test_a_service_whose_name_does_not_resolve_at_start_stays_refused_by_name() -> None:
    ours = policy("private", DATABASE_URL="postgresql://u:p@late-database/dragoman")
    assert ours.refusal_of_name("late-database", 5432) is not None
    assert ours.refusal_of_name("late-database", 80) is None


def test_database_hosts_are_found_where_libpq_finds_them() -> None:
    url = "postgresql://u:p@/dragoman?host=10.1.1.1:5433&host=10.1.1.2&host=/run/postgresql"
    ours = policy("private", DATABASE_URL=url)
    assert ours.refusal("10.1.1.1", 5433) is not None
    assert ours.refusal("10.1.1.2", 5432) is not None


def test_sqlite_and_socket_urls_add_no_pairs() -> None:
    ours = policy(REDIS_URL="unix:///srv/dragoman/v.sock?db=0")
    assert {port for _, port in ours.own} == {8642}


@given(st.ip_addresses())
def test_any_address_is_judged_and_its_mapped_form_alike(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    verdict = CLOSED.refusal(str(address), 80)
    if isinstance(address, ipaddress.IPv4Address):
        mapped = CLOSED.refusal(f"::ffff:{address}", 80)
        assert (mapped is None) == (verdict is None)
    elif verdict is None:
        assert address.is_global or address.sixtofour is not None
