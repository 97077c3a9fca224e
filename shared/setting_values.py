"""What the text of a setting must be, and the value that it stands for."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit, urlunsplit

from shared.keyring import Keyring

_NAME: Final = re.compile(r"(?=.{1,253}$)[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9-]+)*")

_TOKEN: Final = re.compile(r"[\x21-\x7e]{16,512}")


class Expected(ValueError):
    """The text does not fit; the message says what was expected."""


def path(text: str) -> Path:
    """An absolute path."""
    return Path(text).expanduser().absolute()


def keyring(text: str) -> Keyring | None:
    """A keyring, or None for no text."""
    return Keyring.parse(text, origin="DRAGOMAN_KEYRING") if text else None


def number(low: float, high: float) -> Callable[[str], float]:
    """What reads a number of seconds within these bounds."""

    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not low <= value <= high:
            raise Expected(f"a number of seconds from {low:.9g} to {high:.9g}")
        return value

    return parse


def integer(low: int, high: int) -> Callable[[str], int]:
    """What reads a whole number within these bounds."""

    def parse(text: str) -> int:
        if not (text.isascii() and text.isdigit() and low <= int(text) <= high):
            raise Expected(f"a whole number from {low} to {high}")
        return int(text)

    return parse


def choice(*words: str) -> Callable[[str], str]:
    """What reads one of these words, in either case."""

    def parse(text: str) -> str:
        if text.upper() not in words:
            raise Expected(f"one of {', '.join(words)}")
        return text.upper()

    return parse


def word(*words: str) -> Callable[[str], str]:
    """What reads one of these words, exactly."""

    def parse(text: str) -> str:
        if text not in words:
            raise Expected(f"one of {', '.join(words)}")
        return text

    return parse


def listener(text: str) -> str:
    """An address and a port to listen on, as `split_listener` takes them; or no text."""
    if text:
        address, port = split_listener(text)
        try:
            host(address)
            integer(1, 65535)(port)
        except Expected:
            raise Expected("an address and a port to listen on, like 127.0.0.1:9464") from None
    return text


def split_listener(text: str) -> tuple[str, str]:
    """Address and port of `127.0.0.1:9464` or `[::1]:9464`."""
    address, _, port = text.rpartition(":")
    return address.removeprefix("[").removesuffix("]"), port


def token(text: str) -> str | None:
    """A token that an HTTP header can carry; None for no text."""
    if text and not _TOKEN.fullmatch(text):
        raise Expected("16 to 512 visible ASCII characters")
    return text or None


def database(text: str) -> str:
    """The URL of a database, in one spelling."""
    expected = Expected("sqlite:////absolute/path or postgresql://user:password@host/name")
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        raise expected from None
    if parts.scheme == "sqlite" and parts.path.startswith("//") and not parts.netloc:
        return text
    if parts.scheme in ("postgresql", "postgres") and parts.path.strip("/"):
        return urlunsplit(parts._replace(scheme="postgresql"))
    raise expected


def redis(text: str) -> str | None:
    """The URL of a Redis; None for no text."""
    if not text:
        return None
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        parts = urlsplit("")
    network = parts.scheme in ("redis", "rediss") and parts.hostname
    socket = parts.scheme == "unix" and parts.path.startswith("/")
    if not network and not socket:
        raise Expected("redis://…, rediss://… or unix://…")
    return text


def outbound(text: str) -> str:
    """Networks by name or in CIDR form, between commas."""
    for word in filter(None, (part.strip() for part in text.split(","))):
        if word not in ("loopback", "private"):
            try:
                ipaddress.ip_network(word)
            except ValueError:
                raise Expected(
                    "a comma-separated list of loopback, private and networks like 10.0.0.0/8"
                ) from None
    return text


def host(text: str) -> str:
    """An address or a name to listen on."""
    if not text or any(ch.isspace() or ch in "/@" for ch in text):
        raise Expected("an address or a host name to listen on")
    return text


def origins(text: str) -> str:
    """Origins of web pages between commas, or `*`; in one spelling."""
    found = [part.strip().rstrip("/").lower() for part in text.split(",") if part.strip()]
    if any(one != "*" and one != _origin(one) for one in found):
        raise Expected("a comma-separated list of origins like https://app.example.com, or *")
    return ",".join(found)


def _origin(text: str) -> str | None:
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
        return None
    return f"{parts.scheme}://{parts.netloc}"


def hosts(text: str) -> str:
    """Names of hosts between commas, without ports; in one spelling."""
    found = [part.strip().rstrip(".").lower() for part in text.split(",") if part.strip()]
    if not all(_NAME.fullmatch(one) for one in found):
        raise Expected("a comma-separated list of host names, without scheme and port")
    return ",".join(found)


def networks(text: str) -> str:
    """Addresses and networks in CIDR form, between commas; in one spelling."""
    try:
        found = [ipaddress.ip_network(part.strip()) for part in text.split(",") if part.strip()]
    except ValueError:
        raise Expected("a comma-separated list of addresses and networks like 10.0.0.0/8") from None
    return ",".join(map(str, found))
