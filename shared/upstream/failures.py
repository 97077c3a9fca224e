"""What a broken call means: aiohttp's exceptions become classes of the error tree.

httpx-aiohttp's own mapping cannot be used: refused, DNS, TLS and reset-after-sending are all
`ConnectTimeout` there, and `ClientResponseError` escapes raw.

Not sent is exactly `ClientConnectorError` with its children, `ConnectionTimeoutError` and the
guard's refusal; the evidence of the hooks has the last word.
"""

from __future__ import annotations

import os
import socket
import ssl
from typing import Final, TypeAlias

import aiohttp
from aiohttp.http_exceptions import BadStatusLine, LineTooLong

from shared.errors import (
    OutboundForbidden,
    UpstreamFailure,
    UpstreamInvalidAnswer,
    UpstreamStreamBroken,
    UpstreamTimeout,
    UpstreamTlsFailed,
    UpstreamUnreachable,
)
from shared.upstream._contract import ConnectionLost
from shared.upstream.evidence import Evidence
from shared.upstream.guard import ForbiddenAddress

Failure: TypeAlias = UpstreamFailure | ConnectionLost

_NO_STATUS_LINE: Final = "no status line"


def before_the_head(error: Exception, evidence: Evidence, *, where: str, https: bool) -> Failure:
    """The failure of a call that got no answer; `where` is host:port."""
    sent = evidence.sent
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else None
    refusal = cause.reason if isinstance(cause, ForbiddenAddress) else evidence.refusal
    if refusal is not None:
        return OutboundForbidden(
            f"Expected an address that may be called, but {refusal}.", sent=sent
        )
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return UpstreamTimeout(
            f"Expected a connection to {where} within the connect timeout, got none; check that "
            "the server runs and that nothing drops its packets.",
            sent=sent,
            phase="connect",
        )
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return UpstreamUnreachable(
            f"Expected {where} to have an address, but the name does not resolve "
            f"({words(cause)}); check the endpoint's spelling.",
            sent=sent,
        )
    if cause is not None:
        if https and not isinstance(cause, ConnectionRefusedError):
            tls = _tls_fault(cause)
            if tls is not None:
                return UpstreamTlsFailed(
                    f"Expected a TLS connection to {where}, got {tls}.", sent=sent
                )
        return UpstreamUnreachable(
            f"Expected a connection to {where}, got: {words(cause)}; check that the server runs "
            "and listens there.",
            sent=sent,
        )
    if isinstance(error, aiohttp.ClientResponseError):
        rule = _rule_broken(error)
        no_http = rule == _NO_STATUS_LINE and not https
        hint = "; if the server speaks TLS, use https" if no_http else ""
        return UpstreamInvalidAnswer(
            f"Expected an HTTP answer from {where}, got bytes that break its rules ({rule}){hint}.",
            sent=sent,
            may_have_been_billed=sent,
        )
    if not sent:
        return UpstreamUnreachable(
            f"Expected a connection to {where}, got: {type(error).__name__}.", sent=False
        )
    return ConnectionLost(
        f"Expected an answer from {where}, but the connection was lost after the request was sent "
        f"({type(error).__name__})."
    )


def _rule_broken(error: BaseException) -> str:
    """Which rule of HTTP, by the class of the parser's own error; its words hold the upstream's."""
    while error.__cause__ is not None:
        error = error.__cause__
    if isinstance(error, LineTooLong):
        return "a line that is too long"
    return _NO_STATUS_LINE if isinstance(error, BadStatusLine) else "a faulty head"


def inside_the_body(error: Exception, *, where: str) -> UpstreamStreamBroken:
    """The failure of a call whose answer had begun."""
    return UpstreamStreamBroken(
        f"Expected the whole answer from {where}, but it broke off ({type(error).__name__}).",
        sent=True,
        may_have_been_billed=True,
    )


def without_an_end(*, where: str, chunks: int) -> UpstreamStreamBroken:
    """The failure of a stream that ended in order, but too early."""
    got = "neither a finish_reason nor [DONE]" if chunks else "its end before the first chunk"
    return UpstreamStreamBroken(
        f"Expected the whole stream from {where}, got {got}.",
        sent=True,
        may_have_been_billed=True,
    )


def words(cause: OSError | None) -> str:
    """What the system says of this error."""
    if isinstance(cause, socket.gaierror):  # its numbers are the resolver's, not errno's
        return cause.strerror or type(cause).__name__
    if cause is None or cause.errno is None:
        return type(cause).__name__
    return os.strerror(cause.errno)


def _tls_fault(cause: OSError) -> str | None:
    """What went wrong in the handshake, or None when it was not the handshake."""
    if isinstance(cause, ssl.SSLCertVerificationError):
        return (
            f"a certificate that is not trusted ({cause.verify_message}); correct the certificate "
            "or give its issuer as ca_certificate"
        )
    if isinstance(cause, ssl.SSLError):
        if cause.reason == "WRONG_VERSION_NUMBER":
            return "an answer that is no TLS; if the server speaks plain HTTP, use http://"
        return f"a failed handshake ({cause.reason or type(cause).__name__})"
    if isinstance(cause, ConnectionError):  # a refusal was ruled out: TCP stood already
        return "a connection closed during the handshake"
    return None
