"""The outbound guard: one policy, asked twice.

The resolver judges the whole answer of the DNS, any bad address refuses all. The socket factory
judges the address that is really dialled: literals, every address of a race, every later attempt.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeAlias

from shared.upstream.addresses import parse
from shared.upstream.evidence import Evidence
from shared.upstream.policy import OutboundPolicy

LOOKUP_THREADS: Final = 32

AddressInfo: TypeAlias = tuple[int, int, int, str, tuple[Any, ...]]
Addresses: TypeAlias = Sequence[AddressInfo]
Lookup: TypeAlias = Callable[[str, int, int], Sequence[AddressInfo]]


class ForbiddenAddress(PermissionError):
    """The guard's refusal."""

    def __init__(self, reason: str) -> None:
        super().__init__(errno.EACCES, reason)
        self.reason = reason


def system_lookup(host: str, port: int, family: int) -> Sequence[AddressInfo]:
    """All addresses that the system's resolver knows; raises OSError.

    Without AI_ADDRCONFIG, which makes `localhost` unknown on a machine that has no network.
    """
    return socket.getaddrinfo(host, port, family, socket.SOCK_STREAM)


def literal_address(host: str, port: int) -> AddressInfo | None:
    """The address that `host` is by itself, not judged; None for a name."""
    literal = parse(host)
    if literal is None:
        return None
    return _address(socket.AF_INET6 if literal.version == 6 else socket.AF_INET, host, port)


class GuardedResolver:
    """Looks names up in threads of its own and refuses answers that hold a forbidden address."""

    def __init__(self, policy: OutboundPolicy, lookup: Lookup = system_lookup) -> None:
        self._policy = policy
        self._lookup = lookup
        self._threads = ThreadPoolExecutor(LOOKUP_THREADS, thread_name_prefix="dns")

    async def resolve(self, host: str, port: int) -> Addresses:
        """The addresses of a name; raises ForbiddenAddress, or OSError when there are none."""
        refusal = self._policy.refusal_of_name(host, port)
        if refusal is not None:
            raise ForbiddenAddress(refusal)
        loop = asyncio.get_running_loop()
        try:
            found = await loop.run_in_executor(
                self._threads, self._lookup, host, port, socket.AF_UNSPEC
            )
        except UnicodeError as error:  # a label over 63 characters, for example
            raise OSError(errno.EINVAL, "the host name is malformed") from error
        for _family, _type, _protocol, _canonical, address in found:
            refusal = self._policy.refusal(address[0], port)
            if refusal is not None:
                raise ForbiddenAddress(f"{host} is {address[0]}, and {refusal}")
        if not found:
            raise OSError(errno.EHOSTUNREACH, "the name has no address")
        return [_address(family, address[0], port) for family, _, _, _, address in found]

    async def close(self) -> None:
        """End the threads; lookups that hang are left to the system's own timeout."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def guarded_sockets(
    policy: OutboundPolicy, evidence: Evidence | None = None
) -> Callable[[AddressInfo], socket.socket]:
    """A socket factory that raises ForbiddenAddress before a forbidden address is dialled.

    The `evidence` keeps the verdict: a race of several addresses may end in another one's error.
    """

    def make(info: AddressInfo) -> socket.socket:
        family, kind, protocol, _canonical, address = info
        refusal = policy.refusal(address[0], address[1])
        if refusal is not None:
            if evidence is not None:
                evidence.refusal = refusal
            raise ForbiddenAddress(refusal)
        return socket.socket(family, kind, protocol)

    return make


def _address(family: int, address: str, port: int) -> AddressInfo:
    where = (address, port, 0, 0) if family == socket.AF_INET6 else (address, port)
    return (family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", where)
