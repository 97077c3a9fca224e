"""What to do about each way in which a server can fail a test, in plain words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from shared.errors import (
    OutboundForbidden,
    UpstreamAuthenticationFailed,
    UpstreamFailure,
    UpstreamInvalidAnswer,
    UpstreamLoading,
    UpstreamRateLimited,
    UpstreamRefused,
    UpstreamRouteMissing,
    UpstreamServerError,
    UpstreamStreamBroken,
    UpstreamTimeout,
    UpstreamTlsFailed,
    UpstreamUnreachable,
)
from shared.upstream import ConnectionLost, DiscoveryFailure, Obstacle

WRONG_KEY: Final = (
    "Copy the key again from where it was made, without spaces or line ends, and check that it is "
    "one for this server and may list models."
)
NO_KEY: Final = "The server wants a key: give it as api_key."
PROVE_BY_CHAT: Final = 'Test again with "chat": true: an answered chat proves the key.'
NAME_A_MODEL: Final = "Test again with one of the server's own model ids as model."
BY_HAND: Final = (
    "If the server has no such route, list its model ids in options.models; if it should have one, "
    "check the path of the endpoint."
)
TRY_AGAIN: Final = "Test again; if it stays so, look at the server's own log."
OUT_OF_TIME: Final = (
    "Test again: a server that loads a model first may need longer than a test waits. Calls wait "
    "as long as the provider's options say."
)
TEST_ANEW: Final = "Begin the test anew; if it stays so, update the discovery worker."
OUR_DEFECT: Final = "Look at the discovery worker's log, and report what it says."

_BY_CODE: Final[Mapping[str, str]] = {
    OutboundForbidden.code: "Widen DRAGOMAN_OUTBOUND_ALLOW if this address is meant.",
    UpstreamUnreachable.code: (
        "The server took the connection and closed it without an answer. Check that it speaks "
        "HTTP on this port; if it speaks TLS, write https:// in the endpoint."
    ),
    UpstreamTlsFailed.code: "See the step tls; the server may have several addresses.",
    UpstreamTimeout.code: (
        "The server took the connection and does not answer. Look whether it is busy, still "
        "loading, or stuck; then test again."
    ),
    UpstreamAuthenticationFailed.code: WRONG_KEY,
    UpstreamRateLimited.code: "The server asks for a pause. Wait, then test again.",
    UpstreamLoading.code: "Wait until the server has loaded its model, then test again.",
    UpstreamServerError.code: "Look at the server's own log, then test again.",
    UpstreamRouteMissing.code: "Check the path of the endpoint; most end in /v1.",
    UpstreamRefused.code: (
        "Read what the server says. A redirect means that the endpoint has moved: write the new "
        "address. A refusal of the model means another model id."
    ),
    UpstreamInvalidAnswer.code: (
        "This looks like a web page or another kind of service. Write the URL of the API, which "
        "often ends in /v1."
    ),
    UpstreamStreamBroken.code: TRY_AGAIN,
}


def obstacle(failure: DiscoveryFailure | UpstreamFailure | ConnectionLost) -> Obstacle:
    """The obstacle that a failed call was, with what to do about it."""
    if isinstance(failure, ConnectionLost):
        return Obstacle(failure.message, _BY_CODE[UpstreamUnreachable.code])
    return Obstacle(failure.message, _BY_CODE[failure.code])
