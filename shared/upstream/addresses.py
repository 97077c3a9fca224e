"""What an IP address is: its embedded IPv4 addresses, and the range that it belongs to.

Ranges are from the IANA special-purpose registries (RFC 6890 and its updates). Metadata addresses
are those that the clouds document.
"""

from __future__ import annotations

import enum
import ipaddress
from collections.abc import Iterable
from typing import Final, TypeAlias

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network


def _networks(*texts: str) -> tuple[Network, ...]:
    return tuple(ipaddress.ip_network(text) for text in texts)


LOOPBACK: Final = _networks("127.0.0.0/8", "::1/128")
# 100.64.0.0/10 is shared by carriers, by clouds and by VPNs such as Tailscale: local in effect.
PRIVATE: Final = _networks(
    "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7"
)
_METADATA: Final = _networks(
    "169.254.169.254/32",  # AWS, Azure, Google, Oracle, DigitalOcean, Hetzner
    "100.100.100.200/32",  # Alibaba
    "168.63.129.16/32",  # Azure's wire server
    "192.0.0.192/32",  # Oracle, old
    "fd00:ec2::/32",  # AWS: metadata ::254, DNS ::253, time ::123
    "fd20:ce::254/128",  # Google
    "fd00:c1::a9fe:a9fe/128",  # Oracle
    "fd00:42::42/128",  # Scaleway
)
_LINK_LOCAL: Final = _networks("169.254.0.0/16", "fe80::/10")
_MULTICAST: Final = _networks("224.0.0.0/4", "ff00::/8")
_RESERVED_V4: Final = _networks("0.0.0.0/8", "240.0.0.0/4")
# Not reachable from everywhere, yet in use somewhere (fake-IP proxies answer 198.18.0.0/15):
# an explicit network in the allow list opens them.
_SPECIAL: Final = _networks(
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.88.99.0/24",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "64:ff9b:1::/48",
    "2001::/23",
    "2001:db8::/32",
    "3fff::/20",
)
_GLOBAL_V6: Final = ipaddress.IPv6Network("2000::/3")
_MAPPED: Final = ipaddress.IPv6Network("::ffff:0:0/96")
_LAST_32_BITS: Final = (
    ipaddress.IPv6Network("64:ff9b::/96"),  # NAT64, RFC 6052
    ipaddress.IPv6Network("64:ff9b:1::/48"),  # local-use NAT64, RFC 8215
)
_6TO4: Final = ipaddress.IPv6Network("2002::/16")
_TEREDO: Final = ipaddress.IPv6Network("2001::/32")
_ISATAP_MARK: Final = 0x5EFE  # RFC 5214: …:[02]00:5efe:a.b.c.d


class Range(enum.Enum):
    """Where an address leads; the value ends the sentence "… is"."""

    METADATA = "a cloud's metadata service"
    LINK_LOCAL = "a link-local address"
    MULTICAST = "a multicast address"
    RESERVED = "a reserved address"
    LOOPBACK = "this machine (loopback)"
    PRIVATE = "a private network"
    SPECIAL = "a special-purpose network"
    PUBLIC = "a public address"


NEVER: Final = frozenset({Range.METADATA, Range.LINK_LOCAL, Range.MULTICAST, Range.RESERVED})
_IN_ORDER: Final = (
    (Range.METADATA, _METADATA),
    (Range.LINK_LOCAL, _LINK_LOCAL),
    (Range.MULTICAST, _MULTICAST),
    (Range.RESERVED, _RESERVED_V4),
    (Range.LOOPBACK, LOOPBACK),
    (Range.PRIVATE, PRIVATE),
    (Range.SPECIAL, _SPECIAL),
)


def parse(text: str) -> Address | None:
    """The address written in `text` (a zone is dropped), or None when it is none."""
    try:
        return ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None


def inside(address: Address, networks: Iterable[Network]) -> bool:
    """Whether one of `networks` contains `address`; other families never do."""
    return any(address in network for network in networks)


def range_of(address: Address) -> Range:
    """The range of the address as it is written; see `faces` for what hides inside."""
    for name, networks in _IN_ORDER:
        if inside(address, networks):
            return name
    if address.version == 4 or address in _GLOBAL_V6 or inside(address, _LAST_32_BITS):
        return Range.PUBLIC
    return Range.RESERVED


def faces(address: Address) -> tuple[Address, ...]:
    """Every address that dialling this one may reach: itself and the IPv4 addresses inside it.

    A mapped address is only its IPv4 address, because that is what the system dials.
    """
    if isinstance(address, ipaddress.IPv4Address):
        return (address,)
    bits = int(address)
    last = ipaddress.IPv4Address(bits & 0xFFFFFFFF)
    if address in _MAPPED:
        return (last,)
    if inside(address, _LAST_32_BITS):
        return (address, last)
    if address in _6TO4:
        return (address, ipaddress.IPv4Address(bits >> 80 & 0xFFFFFFFF))
    if address in _TEREDO:
        server = ipaddress.IPv4Address(bits >> 64 & 0xFFFFFFFF)
        return (address, server, ipaddress.IPv4Address(~int(last) & 0xFFFFFFFF))
    if bits >> 32 & 0xFDFFFFFF == _ISATAP_MARK:
        return (address, last)
    return (address,)
