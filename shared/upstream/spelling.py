"""One strict reading of an address that somebody typed, so that no client can have another.

What is ambiguous is refused: numbers that resolvers read as addresses, logins, invisible
characters. Hosts are ASCII and lower-case afterwards, paths and queries hold no character that a
client would rewrite.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Final, NoReturn
from urllib.parse import quote

import idna

from shared.errors import DragomanError

MAX_LENGTH: Final = 2048
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_DOT_SEGMENT = re.compile(r"/(?:\.|%2e){1,2}(?=/|$)", re.IGNORECASE)
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
_DECIMAL_BYTE = re.compile(r"0|[1-9][0-9]{0,2}")
_KEPT_IN_PATH = "/%:@!$&'()*+,;=-._~"
_KEPT_IN_QUERY = _KEPT_IN_PATH + "?[]"


class NotAnAddress(DragomanError):
    """What was typed is no address; `got` ends the sentence "Expected …"."""

    def __init__(self, got: str) -> None:
        super().__init__(got)
        self.got = got


@dataclass(frozen=True, slots=True)
class Spelled:
    """An address as it is written; `host` is without brackets, `path` empty or from its first `/`.

    `scheme` is None where none was typed, `query` is empty or from its `?`.
    """

    scheme: str | None
    host: str
    is_literal: bool
    port: int | None
    path: str
    query: str

    def origin(self, scheme: str) -> str:
        """Scheme, host, and the port where it is not the scheme's own."""
        shown = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port in (None, _DEFAULT_PORTS[scheme]) else f":{self.port}"
        return f"{scheme}://{shown}{port}"

    def port_of(self, scheme: str) -> int:
        """The port that is dialled."""
        return _DEFAULT_PORTS[scheme] if self.port is None else self.port


def read(typed: str) -> Spelled:
    """The address that was meant; raises NotAnAddress."""
    text = typed.strip(" \t\r\n")
    if not text:
        refuse("got nothing")
    refuse_too_long(text)
    if " " in text or not text.isprintable():  # invisible, bidirectional, surrogate, unassigned
        refuse("got a space or control character inside; remove it")
    if "\\" in text:
        refuse("got a backslash; use /")
    if "#" in text:
        refuse("got a fragment; remove the # and what follows")
    scheme, rest = _split_scheme(text)
    location, _, query = rest.partition("?")
    authority, slash, path = location.partition("/")
    host, port = _split_authority(authority)
    host, is_literal = _host(host)
    if _DOT_SEGMENT.search(slash + path):
        refuse("got . or .. as part of the path; write the path itself")
    return Spelled(
        scheme=scheme,
        host=host,
        is_literal=is_literal,
        port=_port(port),
        path=quote(slash + path, safe=_KEPT_IN_PATH),
        query="?" + quote(query, safe=_KEPT_IN_QUERY) if query else "",
    )


def refuse_too_long(text: str, when: str = "") -> None:
    """Raise NotAnAddress for more characters than an address may have."""
    if len(text) > MAX_LENGTH:
        refuse(f"got {len(text)} characters{when}; shorten it to {MAX_LENGTH}")


def refuse(got: str) -> NoReturn:
    """Raise NotAnAddress."""
    raise NotAnAddress(got)


def _split_scheme(text: str) -> tuple[str | None, str]:
    match = _SCHEME.match(text)
    if match is None:
        if re.match(r"https?:(?![0-9])", text, re.IGNORECASE):
            refuse("got a scheme without //; write https://host")
        return None, text
    scheme = match[1].lower()
    if scheme not in _DEFAULT_PORTS:
        refuse(f"got the scheme {scheme[:20]}; use http or https")
    return scheme, text[match.end() :]


def _split_authority(authority: str) -> tuple[str, str | None]:
    """Host (brackets kept) and the text of the port, None when no port was typed."""
    if "@" in authority:  # never echoed: it may hold a password
        refuse("got a user name or password before the host; keys have fields of their own")
    if authority.startswith("["):
        inner, closed, after = authority.partition("]")
        if not closed or (after and not after.startswith(":")):
            refuse("got an IPv6 address with unbalanced brackets")
        return inner + "]", after[1:] if after else None
    host, colon, port = authority.partition(":")
    if ":" in port:
        refuse("got several colons; put an IPv6 address in brackets, like http://[::1]:8000")
    return host, port if colon else None


def _port(text: str | None) -> int | None:
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and 0 < int(text) < 65536):
        refuse(f"got the port '{text[:20]}'; use a number from 1 to 65535")
    return int(text)


def _host(typed: str) -> tuple[str, bool]:
    """The host as it is dialled, and whether it is a literal address."""
    if not typed:
        refuse("got no host")
    if typed.startswith("["):
        try:
            address = ipaddress.IPv6Address(typed[1:-1])
        except ValueError:
            refuse("got something in brackets that is no IPv6 address")
        if address.scope_id is not None:
            refuse("got an IPv6 address with a zone; remove the % and what follows")
        return _written(address), True
    host = typed.lower() if typed.isascii() else _to_ascii(typed)
    labels = host.removesuffix(".").split(".")
    if _ends_in_number(labels[-1]):
        if len(labels) != 4 or host.endswith(".") or not all(map(_is_decimal_byte, labels)):
            refuse("got a number as host; write an IPv4 address as four decimal numbers")
        return host, True
    if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        refuse("got a host name with characters or lengths that no host name has")
    return host, False


def _written(address: ipaddress.IPv6Address) -> str:
    """The address as the WHATWG writes it; since Python 3.13 `str` writes mapped ones otherwise."""
    if address.ipv4_mapped is None:
        return address.compressed
    last = int(address.ipv4_mapped)
    return f"::ffff:{last >> 16:x}:{last & 0xFFFF:x}"


def _to_ascii(host: str) -> str:
    """The name in its ASCII form (UTS 46, what browsers do): full-width digits become digits."""
    try:
        return idna.encode(host, uts46=True).decode("ascii").lower()
    except (idna.IDNAError, UnicodeError):
        refuse("got a host name with characters that no host name has")


def _ends_in_number(label: str) -> bool:
    """The WHATWG URL rule by which resolvers read a host as IPv4, octal and hex included."""
    return label.isdigit() or re.fullmatch(r"0x[0-9a-f]*", label) is not None


def _is_decimal_byte(label: str) -> bool:
    return _DECIMAL_BYTE.fullmatch(label) is not None and int(label) < 256
