"""What to do about each obstacle on the way to a server, in plain words."""

from __future__ import annotations

from typing import Final

WIDEN_POLICY: Final = (
    "If this address is meant, add its network to DRAGOMAN_OUTBOUND_ALLOW (loopback, private, or "
    "a network like 10.1.0.0/16) and restart Dragoman. Metadata, link-local and multicast "
    "addresses and Dragoman's own ports are never called."
)
CHECK_SPELLING: Final = (
    "Check the spelling of the host name. A container's name is known only to containers on the "
    "same network as Dragoman's workers."
)
ASK_NAME_SERVER: Final = (
    "Test again. If it stays so, check the name servers of the machine that Dragoman's workers "
    "run on."
)
CHECK_LISTENING: Final = (
    "Check that the server runs, and that it listens on this address and port: many listen on "
    "127.0.0.1 only until they are told --host 0.0.0.0."
)
CHECK_LOCALHOST: Final = (
    "Check that the server runs and listens on this port. If Dragoman runs in a container, "
    "localhost is that container: use the host's name instead, such as host.docker.internal."
)
CHECK_FIREWALL: Final = (
    "Check host and port, and that no firewall drops what the machine that Dragoman's workers run "
    "on sends there."
)
CHECK_ROUTE: Final = (
    "Check that the machine that Dragoman's workers run on has a route to this address, for "
    "example that its VPN is up."
)
CHECK_TLS_PORT: Final = (
    "Check that the server speaks TLS on this port; if it speaks plain HTTP, write http:// in the "
    "endpoint."
)
CHECK_CA: Final = "Paste the whole PEM file as ca_certificate, BEGIN and END lines included."
_UNVERIFIED: Final = "On a network that you trust you may set verify_tls to false instead."
_HANDSHAKE: Final = (
    "Check which TLS versions and client certificates the server asks for; Dragoman speaks TLS 1.2 "
    "and 1.3 and has no client certificate."
)
# OpenSSL's X509_V_ERR_… (x509_vfy.h).
_NOT_YET_VALID: Final = 9
_EXPIRED: Final = 10
_SELF_SIGNED: Final = frozenset({18, 19})
_WRONG_HOST: Final = frozenset({62, 64})  # a name, an address


def certificate_remedy(code: int, *, given_ca: bool) -> str:
    """What to do about a certificate that OpenSSL refused with this code."""
    if code == _EXPIRED:
        return f"Renew the server's certificate. {_UNVERIFIED}"
    if code == _NOT_YET_VALID:
        return "Set the clock of this machine or of the server: the certificate begins later."
    if code in _WRONG_HOST:
        return (
            "Write the host name that the certificate was made for in the endpoint, or make one "
            f"for this name. {_UNVERIFIED}"
        )
    if given_ca:
        return (
            "The ca_certificate given did not issue this certificate: give the right one. "
            f"{_UNVERIFIED}"
        )
    if code in _SELF_SIGNED:
        return f"Give the server's certificate, or its CA's, as ca_certificate. {_UNVERIFIED}"
    return (
        "Give the certificate of its issuer as ca_certificate, or let the server send its "
        f"intermediate certificates. {_UNVERIFIED}"
    )


def handshake_remedy(reason: str | None) -> str:
    """What to do about a handshake that failed for OpenSSL's `reason`."""
    # What a plain HTTP answer looks like to OpenSSL 1.1 and 3.
    if reason in ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST"):
        return CHECK_TLS_PORT
    return _HANDSHAKE
