"""Where the registry listens, as a URL and as a port to try."""

from __future__ import annotations

import socket

from deploy.refusal import Refusal
from shared.config import Settings


def url(settings: Settings) -> str:
    """Where the registry listens."""
    return _url(settings.host, settings.port)


def reachable(settings: Settings) -> str:
    """Where a client on this machine finds the registry, also when it listens on all addresses."""
    loopback = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - read, not bound
    return _url(loopback.get(settings.host, settings.host), settings.port)


def _url(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def check_port(host: str, port: int) -> None:
    """Raises Refusal where the registry could not listen there."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except socket.gaierror as problem:
        raise Refusal(f'DRAGOMAN_HOST: "{host}" is no address of this machine.') from problem
    family, kind, protocol, _, address = found[0]
    with socket.socket(family, kind, protocol) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(address)
        except OSError as problem:
            raise Refusal(
                f"Dragoman cannot listen on {host} port {port}: {problem.strerror}. "
                "Choose another with --port or DRAGOMAN_PORT."
            ) from problem
