"""What a broken call means: each step's errors become classes of the error tree.

Not sent is exactly what ended before the call had its connection: NotConnected, and the guard's
refusal.
"""

from __future__ import annotations

import enum
import os
import socket
import ssl
from typing import Final, TypeAlias

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
from shared.upstream.incoming import NO_STATUS_LINE, ConnectionEnded, RuleBroken

Failure: TypeAlias = UpstreamFailure | ConnectionLost


# What `inside_the_body` makes of a fault.
BODY_FAULTS: Final = (UpstreamStreamBroken, UpstreamInvalidAnswer)


class Step(enum.Enum):
    """A step towards a connection."""

    LOOKUP = enum.auto()
    DIAL = enum.auto()
    TLS = enum.auto()


class NotConnected(Exception):
    """No connection came about: where it failed, and how."""

    def __init__(self, step: Step, cause: OSError) -> None:
        super().__init__(step, cause)
        self.step = step
        self.cause = cause


def not_connected(
    error: NotConnected | TimeoutError, evidence: Evidence, *, where: str, https: bool
) -> UpstreamFailure:
    """The failure of a call that got no connection; `where` is host:port."""
    cause = error.cause if isinstance(error, NotConnected) else None
    refusal = cause.reason if isinstance(cause, ForbiddenAddress) else evidence.refusal
    if refusal is not None:
        return OutboundForbidden(
            f"Expected an address that may be called, but {refusal}.", sent=False
        )
    if not isinstance(error, NotConnected):
        return UpstreamTimeout(
            f"Expected a connection to {where} within the connect timeout, got none; check that "
            "the server runs and that nothing drops its packets.",
            sent=False,
            phase="connect",
        )
    if error.step is Step.LOOKUP:
        return UpstreamUnreachable(
            f"Expected {where} to have an address, but the name does not resolve "
            f"({words(cause)}); check the endpoint's spelling.",
            sent=False,
        )
    # A reset may overtake the news that the connection stands.
    stood = error.step is Step.TLS or not isinstance(cause, ConnectionRefusedError)
    if https and stood and (tls := _tls_fault(error.cause)) is not None:
        return UpstreamTlsFailed(f"Expected a TLS connection to {where}, got {tls}.", sent=False)
    return UpstreamUnreachable(
        f"Expected a connection to {where}, got: {words(cause)}; check that the server runs "
        "and listens there.",
        sent=False,
    )


def before_the_head(
    error: RuleBroken | ConnectionEnded, *, where: str, https: bool
) -> UpstreamInvalidAnswer | ConnectionLost:
    """The failure of a call that was sent and got no answer."""
    if isinstance(error, RuleBroken):
        return _no_http(error, where=where, https=https)
    return ConnectionLost(
        f"Expected an answer from {where}, but the connection was lost after the request was sent "
        f"({error})."
    )


def inside_the_body(
    error: RuleBroken | ConnectionEnded, *, where: str, https: bool
) -> UpstreamInvalidAnswer | UpstreamStreamBroken:
    """The failure of a call whose answer had begun."""
    if isinstance(error, RuleBroken):
        return _no_http(error, where=where, https=https)
    return UpstreamStreamBroken(
        f"Expected the whole answer from {where}, but it broke off ({error}).",
        sent=True,
        may_have_been_billed=True,
    )


def _no_http(error: RuleBroken, *, where: str, https: bool) -> UpstreamInvalidAnswer:
    no_http = error.rule == NO_STATUS_LINE and not https
    hint = "; if the server speaks TLS, use https" if no_http else ""
    return UpstreamInvalidAnswer(
        f"Expected an HTTP answer from {where}, got bytes that break its rules "
        f"({error.rule}){hint}.",
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
    if isinstance(cause, ConnectionError):  # TCP stood already
        return "a connection closed during the handshake"
    return None
