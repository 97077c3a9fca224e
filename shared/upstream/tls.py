"""TLS contexts, made once for each way of verifying and shared by all calls."""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from typing import Final

import httpx

from shared.errors import UpstreamTlsFailed

_KEPT: Final = 256  # contexts; the oldest goes, and is made again when needed


class TlsContexts:
    """Contexts by (verify, digest of the CA). Connections are kept apart by context, too."""

    def __init__(self) -> None:
        self._contexts: dict[tuple[bool, bytes], asyncio.Task[ssl.SSLContext]] = {}

    async def context(self, verify: bool, ca_certificate: str | None) -> ssl.SSLContext:
        """The context for one target; raises UpstreamTlsFailed when the CA cannot be read."""
        pem = ca_certificate if verify else None
        key = (verify, hashlib.sha256(pem.encode()).digest() if pem is not None else b"")
        making = self._contexts.get(key)
        if making is None:
            if len(self._contexts) >= _KEPT:
                del self._contexts[next(iter(self._contexts))]
            # Reading the system's store takes 50-100 ms: not on the loop, and once for all the
            # calls that need it together (256 first calls took 18 s and 250 MB otherwise).
            making = asyncio.create_task(asyncio.to_thread(_made, verify, pem))
            self._contexts[key] = making
        if making.done() and making.exception() is None:
            return making.result()
        try:
            # The one who gives up must not take it away from the others.
            return await asyncio.shield(making)
        except UpstreamTlsFailed:
            self._contexts.pop(key, None)
            raise


def _made(verify: bool, pem: str | None) -> ssl.SSLContext:
    if pem is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        # The certificate given is the anchor, also when it is an intermediate or the server's own.
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        try:
            context.load_verify_locations(cadata=pem.encode("ascii", "replace").decode())
        except (ssl.SSLError, ValueError):
            raise UpstreamTlsFailed(
                "Expected ca_certificate to be PEM text, got something that cannot be read as "
                "certificates; paste the whole file, BEGIN and END lines included.",
                sent=False,
            ) from None
    else:
        context = httpx.create_ssl_context(verify=verify, trust_env=False)
        if verify:  # certifi's store and the system's: either may be missing a company's CA
            context.load_default_certs()
    context.set_alpn_protocols(["http/1.1"])
    return context
