"""Who is at the other end, where proxies stand in between.

`X-Forwarded-For` and `X-Forwarded-Proto` are what anybody may write: they count only from the
addresses that `DRAGOMAN_TRUSTED_PROXIES` names, and each proxy is believed about its own caller.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_SCHEMES: Final = ("http", "https")


class Forwarded:
    """WSGI middleware: address and scheme of the client, as trusted proxies tell them."""

    def __init__(self, application: Application, proxies: str) -> None:
        self._application = application
        self._proxies: Sequence[Network] = [
            ipaddress.ip_network(part) for part in proxies.split(",") if part
        ]

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        """Serve one request as its client's."""
        if self._trusts(address(environ.get("REMOTE_ADDR", ""))):
            environ["REMOTE_ADDR"] = self._client(environ)
            scheme = environ.get("HTTP_X_FORWARDED_PROTO", "").rpartition(",")[2].strip().lower()
            if scheme in _SCHEMES:
                environ["wsgi.url_scheme"] = scheme
        return self._application(environ, start_response)

    def _client(self, environ: dict[str, Any]) -> str:
        """The first address, from the right, that is no trusted proxy's; else the leftmost."""
        last: str = environ["REMOTE_ADDR"]
        for part in reversed(environ.get("HTTP_X_FORWARDED_FOR", "").split(",")):
            found = address(part.strip())
            if found is None:  # what is further left was written by whoever wrote this
                return last
            last = str(found)
            if not self._trusts(found):
                return last
        return last

    def _trusts(self, found: Address | None) -> bool:
        return found is not None and any(found in network for network in self._proxies)


def address(text: str) -> Address | None:
    """The address that is written so, an IPv4 one as such; None when it is none."""
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return mapped or found
