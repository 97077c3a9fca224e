"""The outbound guard: one policy, two hooks for aiohttp.

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

from aiohttp.abc import AbstractResolver, ResolveResult

from shared.upstream.evidence import current
from shared.upstream.policy import OutboundPolicy

LOOKUP_THREADS: Final = 32

AddressInfo: TypeAlias = tuple[int, int, int, str, tuple[Any, ...]]
Lookup: TypeAlias = Callable[[str, int, int], Sequence[AddressInfo]]


class ForbiddenAddress(PermissionError):
    """The guard's refusal; aiohttp wraps it like any failure to connect."""

    def __init__(self, reason: str) -> None:
        super().__init__(errno.EACCES, reason)
        self.reason = reason


def system_lookup(host: str, port: int, family: int) -> Sequence[AddressInfo]:
    """All addresses that the system's resolver knows; raises OSError.

    Without AI_ADDRCONFIG, which makes `localhost` unknown on a machine that has no network.
    """
    return socket.getaddrinfo(host, port, family, socket.SOCK_STREAM)


class GuardedResolver(AbstractResolver):
    """Looks names up in threads of its own and refuses answers that hold a forbidden address."""

    def __init__(self, policy: OutboundPolicy, lookup: Lookup = system_lookup) -> None:
        self._policy = policy
        self._lookup = lookup
        self._threads = ThreadPoolExecutor(LOOKUP_THREADS, thread_name_prefix="dns")

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """The addresses of `host`; raises ForbiddenAddress, or OSError when there are none."""
        refusal = self._policy.refusal_of_name(host, port)
        if refusal is not None:
            raise _noted(refusal)
        loop = asyncio.get_running_loop()
        try:
            found = await loop.run_in_executor(self._threads, self._lookup, host, port, family)
        except UnicodeError as error:  # a label over 63 characters, for example
            raise OSError(errno.EINVAL, "the host name is malformed") from error
        results = []
        for family_found, _type, protocol, _canonical, address in found:
            refusal = self._policy.refusal(address[0], port)
            if refusal is not None:
                raise _noted(f"{host} is {address[0]}, and {refusal}")
            results.append(
                ResolveResult(
                    hostname=host,
                    host=address[0],
                    port=port,
                    family=family_found,
                    proto=protocol,
                    flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
                )
            )
        if not results:
            raise OSError(errno.EHOSTUNREACH, "the name has no address")
        return results

    async def close(self) -> None:
        """End the threads; lookups that hang are left to the system's own timeout."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def guarded_sockets(policy: OutboundPolicy) -> Callable[[AddressInfo], socket.socket]:
    """A socket factory that raises ForbiddenAddress before a forbidden address is dialled."""

    def make(info: AddressInfo) -> socket.socket:
        family, kind, protocol, _canonical, address = info
        evidence = current.get(None)
        if evidence is not None:
            evidence.dialled = True
        refusal = policy.refusal(address[0], address[1])
        if refusal is not None:
            raise _noted(refusal)
        return socket.socket(family, kind, protocol)

    return make


def _noted(refusal: str) -> ForbiddenAddress:
    # A race of several addresses may end in another error than ours: the record keeps the verdict.
    evidence = current.get(None)
    if evidence is not None:
        evidence.refusal = refusal
    return ForbiddenAddress(refusal)
