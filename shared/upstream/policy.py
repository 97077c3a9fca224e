"""One policy for every address that Dragoman may dial on somebody's behalf.

Metadata services, link-local, multicast and reserved addresses, and Dragoman's own listeners are
refused whatever the allow list says; loopback, private and special networks follow the list;
public addresses are open. The guard judges every connection by it, the registry literal addresses
on save.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final, TypeAlias
from urllib.parse import SplitResult, parse_qs, urlsplit

from shared.config import Settings
from shared.upstream.addresses import (
    LOOPBACK,
    NEVER,
    PRIVATE,
    Address,
    Network,
    Range,
    faces,
    inside,
    parse,
    range_of,
)

Lookup: TypeAlias = Callable[[str], list[str]]

_WORDS: Final = {"loopback": LOOPBACK, "private": PRIVATE}
_WIDENED: Final = {Range.LOOPBACK: "loopback", Range.PRIVATE: "private"}
_SERVICE_PORTS: Final = {"postgresql": 5432, "redis": 6379, "rediss": 6379}


def addresses_of(name: str) -> list[str]:
    """What the system's resolver says of `name`; empty when it knows nothing."""
    try:
        return [str(info[4][0]) for info in socket.getaddrinfo(name, None)]
    except (OSError, UnicodeError):
        return []


def is_this_machine(address: str) -> bool:
    """Whether a socket could listen on `address`, which is true of local addresses only."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((address, 0))
    except OSError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class OutboundPolicy:
    """The allow list and Dragoman's own listeners, fixed at start.

    `own` holds the (address, port) pairs, `own_names` the same by host name, `own_local_ports` the
    ports that are ours on every address of this machine (what listens on one may do so on all).
    """

    allowed: tuple[Network, ...] = ()
    own: frozenset[tuple[Address, int]] = frozenset()
    own_names: frozenset[tuple[str, int]] = frozenset()
    own_local_ports: frozenset[int] = frozenset()
    is_local: Callable[[str], bool] = field(default=is_this_machine, repr=False, compare=False)

    @classmethod
    def from_settings(
        cls,
        settings: Settings,
        *,
        lookup: Lookup = addresses_of,
        is_local: Callable[[str], bool] = is_this_machine,
    ) -> OutboundPolicy:
        """The policy in force; host names of our own services are looked up once, here.

        A name that does not resolve now stays refused by name.
        """
        own: set[tuple[Address, int]] = set()
        names: set[tuple[str, int]] = set()
        local_ports: set[int] = set()
        for host, port in _listeners(settings):
            literal = parse(host)
            if literal is None:
                names.add((_plain(host), port))
            texts = [host] if literal is not None else lookup(host)
            for address in (found for text in texts if (found := parse(text)) is not None):
                for face in faces(address):
                    own.add((face, port))
                    if face.is_unspecified or face.is_loopback or is_local(str(face)):
                        local_ports.add(port)
        return cls(
            allowed=tuple(_allowed(settings.outbound_allow)),
            own=frozenset(own),
            own_names=frozenset(names),
            own_local_ports=frozenset(local_ports),
            is_local=is_local,
        )

    def refusal(self, address: str, port: int) -> str | None:
        """Why this address and port must not be dialled, or None when they may."""
        parsed = parse(address)
        if parsed is None:
            return f"{address[:60]} is no IP address"
        for face in faces(parsed):
            why = self._refusal_of(face, port)
            if why is not None:
                hidden = "" if face == parsed else f", which hides in {parsed}"
                return f"{face} is {why}{hidden}"
        return None

    def refusal_of_literal(self, host: str, port: int) -> str | None:
        """As `refusal` when `host` is a literal address; None for a name, which is not judged."""
        return None if parse(host) is None else self.refusal(host, port)

    def refusal_of_name(self, host: str, port: int) -> str | None:
        """Why this host name must not even be looked up: it is one of our own services'."""
        if (_plain(host), port) in self.own_names:
            return f"{_plain(host)}:{port} is one of Dragoman's own services"
        return None

    def _refusal_of(self, face: Address, port: int) -> str | None:
        where = range_of(face)
        if where in NEVER:
            return f"{where.value}; such addresses are never called"
        if (face, port) in self.own or (port in self.own_local_ports and self._is_local(face)):
            return "one of Dragoman's own services"
        if where is Range.PUBLIC or inside(face, self.allowed):
            return None
        remedy = _WIDENED.get(where, f"{face}/{face.max_prefixlen}")
        return f"{where.value}; add {remedy} to DRAGOMAN_OUTBOUND_ALLOW to permit it"

    def _is_local(self, face: Address) -> bool:
        return face.is_loopback or self.is_local(str(face))


def _allowed(setting: str) -> Iterable[Network]:
    for word in filter(None, (part.strip() for part in setting.split(","))):
        if word in _WORDS:
            yield from _WORDS[word]
        else:
            yield ipaddress.ip_network(word)


def _listeners(settings: Settings) -> Iterable[tuple[str, int]]:
    """Host and port of the registry, the database and Redis, as they are configured."""
    yield settings.host, settings.port
    for url in filter(None, (settings.database_url, settings.redis_url)):
        parts = urlsplit(url)
        if (default := _SERVICE_PORTS.get(parts.scheme)) is not None:
            yield from _named_hosts(parts, default)


def _named_hosts(parts: SplitResult, default: int) -> Iterable[tuple[str, int]]:
    if parts.hostname:
        yield parts.hostname, parts.port or default
    # libpq takes hosts, or a socket's folder, from the query too: ?host=a:5432&host=b
    for group in parse_qs(parts.query).get("host", []):
        for host in group.split(","):
            name, colon, port = host.rpartition(":")
            if name and port.isdigit():
                yield name.strip("[]"), int(port)
            elif host and not host.startswith("/") and not colon:
                yield host, default


def _plain(host: str) -> str:
    return host.lower().removesuffix(".")
