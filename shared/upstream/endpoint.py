"""One resolver: any spelling of a server becomes its chat URL and its models URL.

It never asks the network. What it returns is what is sent: hosts are ASCII and lower-case, paths
hold no character that a client would rewrite.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Final, NoReturn
from urllib.parse import quote

import idna

from shared.errors import InvalidValue

MAX_LENGTH: Final = 2048
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_ROUTES: Final = ("/chat/completions", "/completions", "/models")  # pasted: the last part goes
_EXPECTED: Final = "Expected an address like https://host/v1, http://localhost:11434 or host:port"

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_DOT_SEGMENT = re.compile(r"/(?:\.|%2e){1,2}(?=/|$)", re.IGNORECASE)
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
_DECIMAL_BYTE = re.compile(r"0|[1-9][0-9]{0,2}")
_KEPT_IN_PATH = "/%:@!$&'()*+,;=-._~"
_KEPT_IN_QUERY = _KEPT_IN_PATH + "?[]"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A server's two URLs; `host` is lower-case and without brackets."""

    chat_url: str
    models_url: str
    host: str
    port: int


def resolve(typed: str) -> Endpoint:
    """The endpoint that was meant; raises InvalidValue (param `endpoint`) saying why not."""
    text = typed.strip(" \t\r\n")
    if not text:
        _refuse("got nothing")
    if len(text) > MAX_LENGTH:
        _refuse(f"got {len(text)} characters; shorten it to {MAX_LENGTH}")
    if " " in text or not text.isprintable():  # invisible, bidirectional, surrogate, unassigned
        _refuse("got a space or control character inside; remove it")
    if "\\" in text:
        _refuse("got a backslash; use /")
    if "#" in text:
        _refuse("got a fragment; remove the # and what follows")
    scheme, rest = _split_scheme(text)
    location, _, query = rest.partition("?")
    authority, slash, path = location.partition("/")
    host, port_text = _split_authority(authority)
    host, literal = _host(host)
    port = _port(port_text)
    if scheme is None:
        local = literal or host == "localhost" or port is not None
        scheme = "http" if local else "https"
    default = _DEFAULT_PORTS[scheme]
    shown = f"[{host}]" if ":" in host else host
    origin = f"{scheme}://{shown}" + (f":{port}" if port not in (None, default) else "")
    chat_path, models_path = _routes(slash + path)
    suffix = "?" + quote(query, safe=_KEPT_IN_QUERY) if query else ""
    chat_url, models_url = origin + chat_path + suffix, origin + models_path + suffix
    if len(chat_url) > MAX_LENGTH:  # what resolves must resolve again
        _refuse(f"got {len(chat_url)} characters once it is written out; shorten it")
    return Endpoint(
        chat_url=chat_url,
        models_url=models_url,
        host=host,
        port=port if port is not None else default,
    )


def is_resolved(url: str) -> bool:
    """Whether `url` is one that `resolve` wrote; every other spelling is False.

    The client sends to no other: a release that writes URLs differently must rewrite stored ones.
    """
    try:
        found = resolve(url)
    except InvalidValue:
        return False
    return url in (found.chat_url, found.models_url)


def _refuse(got: str) -> NoReturn:
    raise InvalidValue(f"{_EXPECTED}, {got}.", param="endpoint")


def _split_scheme(text: str) -> tuple[str | None, str]:
    match = _SCHEME.match(text)
    if match is None:
        if re.match(r"https?:(?![0-9])", text, re.IGNORECASE):
            _refuse("got a scheme without //; write https://host")
        return None, text
    scheme = match[1].lower()
    if scheme not in _DEFAULT_PORTS:
        _refuse(f"got the scheme {scheme[:20]}; use http or https")
    return scheme, text[match.end() :]


def _split_authority(authority: str) -> tuple[str, str | None]:
    """Host (brackets kept) and the text of the port, None when no port was typed."""
    if "@" in authority:  # never echoed: it may hold a password
        _refuse("got a user name or password before the host; put the key in api_key")
    if authority.startswith("["):
        inner, closed, after = authority.partition("]")
        if not closed or (after and not after.startswith(":")):
            _refuse("got an IPv6 address with unbalanced brackets")
        return inner + "]", after[1:] if after else None
    host, colon, port = authority.partition(":")
    if ":" in port:
        _refuse("got several colons; put an IPv6 address in brackets, like http://[::1]:8000")
    return host, port if colon else None


def _port(text: str | None) -> int | None:
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and 0 < int(text) < 65536):
        _refuse(f"got the port '{text[:20]}'; use a number from 1 to 65535")
    return int(text)


def _host(typed: str) -> tuple[str, bool]:
    """The host as it is dialled, and whether it is a literal address."""
    if not typed:
        _refuse("got no host")
    if typed.startswith("["):
        try:
            address = ipaddress.IPv6Address(typed[1:-1])
        except ValueError:
            _refuse("got something in brackets that is no IPv6 address")
        if address.scope_id is not None:
            _refuse("got an IPv6 address with a zone; remove the % and what follows")
        return _written(address), True
    host = typed.lower() if typed.isascii() else _to_ascii(typed)
    labels = host.removesuffix(".").split(".")
    if _ends_in_number(labels[-1]):
        if len(labels) != 4 or host.endswith(".") or not all(map(_is_decimal_byte, labels)):
            _refuse("got a number as host; write an IPv4 address as four decimal numbers")
        return host, True
    if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        _refuse("got a host name with characters or lengths that no host name has")
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
        _refuse("got a host name with characters that no host name has")


def _ends_in_number(label: str) -> bool:
    """The WHATWG URL rule by which resolvers read a host as IPv4, octal and hex included."""
    return label.isdigit() or re.fullmatch(r"0x[0-9a-f]*", label) is not None


def _is_decimal_byte(label: str) -> bool:
    return _DECIMAL_BYTE.fullmatch(label) is not None and int(label) < 256


def _routes(path: str) -> tuple[str, str]:
    """The chat path and the models path below what was typed."""
    if _DOT_SEGMENT.search(path):
        _refuse("got . or .. as part of the path; write the path itself")
    base = quote(path.rstrip("/"), safe=_KEPT_IN_PATH)
    pasted = next((route for route in _ROUTES if base.endswith(route)), None)
    if pasted is not None:
        base = base.removesuffix(pasted).rstrip("/")
    elif not base:
        base = "/v1"
    return f"{base}/chat/completions", f"{base}/models"
