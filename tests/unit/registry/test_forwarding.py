"""Who is at the other end, as told by proxies: believed only where they are trusted."""

from __future__ import annotations

from typing import Any

import pytest

from services.registry.forwarding import Forwarded

PROXIES = "10.0.0.0/8,192.0.2.1/32,2001:db8::/32"


def seen(remote: str, **headers: str) -> tuple[str, str]:
    """Address and scheme of the client, as the application sees them."""
    environ: dict[str, Any] = {"REMOTE_ADDR": remote, "wsgi.url_scheme": "http"}
    environ |= {f"HTTP_X_FORWARDED_{name.upper()}": value for name, value in headers.items()}
    Forwarded(lambda environ, start: [], PROXIES)(environ, lambda *_: None)
    return environ["REMOTE_ADDR"], environ["wsgi.url_scheme"]


@pytest.mark.parametrize("remote", ["203.0.113.9", "192.0.2.2", "::1", "", "no address"])
def test_whoever_is_not_trusted_speaks_for_nobody(remote: str) -> None:
    assert seen(remote, **{"for": "198.51.100.1"}, proto="https") == (remote, "http")


@pytest.mark.parametrize(
    ("chain", "client"),
    [
        ("198.51.100.1", "198.51.100.1"),
        ("6.6.6.6, 198.51.100.1", "198.51.100.1"),  # what the client wrote itself
        ("198.51.100.1, 10.9.9.9", "198.51.100.1"),  # two proxies of ours
        ("198.51.100.1,10.9.9.9 , 192.0.2.1", "198.51.100.1"),
        ("10.1.1.1, 10.2.2.2", "10.1.1.1"),  # a client inside
        ("2001:db9::7", "2001:db9::7"),
        ("::ffff:198.51.100.1", "198.51.100.1"),
        ("", "10.0.0.1"),
        ("unknown", "10.0.0.1"),
        ("198.51.100.1, nonsense, 10.9.9.9", "10.9.9.9"),
        ("198.51.100.1, nonsense", "10.0.0.1"),
    ],
)
def test_each_trusted_proxy_is_believed_about_its_own_caller(chain: str, client: str) -> None:
    assert seen("10.0.0.1", **{"for": chain})[0] == client


@pytest.mark.parametrize(
    ("sent", "scheme"),
    [
        ("https", "https"),
        ("HTTPS", "https"),
        ("http, https", "https"),
        ("ftp", "http"),
        ("", "http"),
    ],
)
def test_the_scheme_is_what_the_nearest_proxy_says(sent: str, scheme: str) -> None:
    assert seen("10.0.0.1", proto=sent)[1] == scheme


def test_an_ipv4_proxy_is_known_on_an_ipv6_socket() -> None:
    assert seen("::ffff:10.0.0.1", **{"for": "198.51.100.1"})[0] == "198.51.100.1"
