"""One resolver: any spelling of a server becomes its chat URL and its models URL.

It never asks the network. What it returns is what is sent. A webhook's URL is read as strictly,
and stays the one that was typed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl

from shared.errors import InvalidValue
from shared.upstream import spelling
from shared.upstream.spelling import MAX_LENGTH, NotAnAddress

_ROUTES: Final = ("/chat/completions", "/completions", "/models")  # pasted: the last part goes
_EXPECTED: Final = "Expected an address like https://host/v1, http://localhost:11434 or host:port"
# Everybody who may use a provider reads its endpoint, and so do logs and attempts.
_NAMES_OF_KEYS: Final = frozenset(
    {"key", "apikey", "xapikey", "token", "apitoken", "accesstoken", "authtoken", "bearer", "auth"}
    | {"authorization", "secret", "clientsecret", "password", "subscriptionkey", "sig", "signature"}
)
_EXPECTED_URL: Final = "Expected a URL like https://host/path"

__all__ = [
    "MAX_LENGTH",
    "Endpoint",
    "WebhookUrl",
    "is_resolved",
    "is_webhook_url",
    "resolve",
    "webhook_url",
]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A server's two URLs; `host` is lower-case and without brackets."""

    chat_url: str
    models_url: str
    host: str
    port: int


@dataclass(frozen=True, slots=True)
class WebhookUrl:
    """Where a webhook is delivered; `host` is lower-case and without brackets."""

    url: str
    host: str
    port: int


def resolve(typed: str) -> Endpoint:
    """The endpoint that was meant; raises InvalidValue (param `endpoint`) saying why not."""
    try:
        return _endpoint(typed)
    except NotAnAddress as fault:
        raise InvalidValue(f"{_EXPECTED}, {fault.got}.", param="endpoint") from None


def _endpoint(typed: str) -> Endpoint:
    spelled = spelling.read(typed)
    _refuse_keys(spelled.query)
    scheme = spelled.scheme
    if scheme is None:
        local = spelled.is_literal or spelled.host == "localhost" or spelled.port is not None
        scheme = "http" if local else "https"
    origin = spelled.origin(scheme)
    chat_path, models_path = _routes(spelled.path)
    chat_url = origin + chat_path + spelled.query
    # What resolves must resolve again.
    spelling.refuse_too_long(chat_url, " once it is written out")
    return Endpoint(
        chat_url=chat_url,
        models_url=origin + models_path + spelled.query,
        host=spelled.host,
        port=spelled.port_of(scheme),
    )


def webhook_url(typed: str, *, param: str) -> WebhookUrl:
    """The URL that was typed, its path and query as they are; raises InvalidValue with `param`."""
    try:
        spelled = spelling.read(typed)
        if spelled.scheme is None:
            spelling.refuse("got none; begin with https:// or http://")
        url = spelled.origin(spelled.scheme) + (spelled.path or "/") + spelled.query
        spelling.refuse_too_long(url, " once it is written out")
    except NotAnAddress as fault:
        raise InvalidValue(f"{_EXPECTED_URL}, {fault.got}.", param=param) from None
    return WebhookUrl(url, spelled.host, spelled.port_of(spelled.scheme))


def is_resolved(url: str) -> bool:
    """Whether `url` is one that `resolve` wrote; every other spelling is False.

    The client sends to no other: a release that writes URLs differently must rewrite stored ones.
    """
    try:
        found = resolve(url)
    except InvalidValue:
        return False
    return url in (found.chat_url, found.models_url)


def is_webhook_url(url: str) -> bool:
    """Whether `url` is one that `webhook_url` wrote; every other spelling is False."""
    try:
        return url == webhook_url(url, param="").url
    except InvalidValue:
        return False


def _refuse_keys(query: str) -> None:
    for name, _ in parse_qsl(query.removeprefix("?"), keep_blank_values=True):
        if re.sub(r"[^a-z]", "", name.lower()) in _NAMES_OF_KEYS:
            spelling.refuse("got a key in its query; keys have a field of their own, api_key")


def _routes(path: str) -> tuple[str, str]:
    """The chat path and the models path below what was typed."""
    base = path.rstrip("/")
    pasted = next((route for route in _ROUTES if base.endswith(route)), None)
    if pasted is not None:
        base = base.removesuffix(pasted).rstrip("/")
    elif not base:
        base = "/v1"
    return f"{base}/chat/completions", f"{base}/models"
