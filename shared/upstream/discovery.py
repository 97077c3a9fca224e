"""Verdicts of discovery: what a failed look at a model list says about the provider."""

from __future__ import annotations

from typing import Final

from shared.domain import DiscoveryStatus
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
from shared.upstream._contract import ConnectionLost, DiscoveryFailure
from shared.upstream.failures import Failure

VERDICTS: Final[dict[type[UpstreamFailure], DiscoveryStatus]] = {
    OutboundForbidden: DiscoveryStatus.UNREACHABLE,
    UpstreamUnreachable: DiscoveryStatus.UNREACHABLE,
    UpstreamTlsFailed: DiscoveryStatus.UNREACHABLE,
    UpstreamTimeout: DiscoveryStatus.UNREACHABLE,
    UpstreamAuthenticationFailed: DiscoveryStatus.AUTH_FAILED,
    UpstreamRateLimited: DiscoveryStatus.RATE_LIMITED,
    UpstreamLoading: DiscoveryStatus.LOADING,
    UpstreamServerError: DiscoveryStatus.SERVER_ERROR,
    UpstreamRouteMissing: DiscoveryStatus.NO_MODELS_ROUTE,
    UpstreamRefused: DiscoveryStatus.INVALID_RESPONSE,
    UpstreamInvalidAnswer: DiscoveryStatus.INVALID_RESPONSE,
    UpstreamStreamBroken: DiscoveryStatus.INVALID_RESPONSE,
}
# Whatever their body says: such a server has no route for models and may well chat.
_NO_ROUTE: Final = frozenset({404, 405, 501})


def verdict(failure: Failure) -> DiscoveryFailure:
    """The discovery failure that a failed call for the model list stands for."""
    if isinstance(failure, ConnectionLost):
        return DiscoveryFailure(
            failure.message, status=DiscoveryStatus.UNREACHABLE, code=UpstreamUnreachable.code
        )
    no_route = failure.upstream_status in _NO_ROUTE
    kind = UpstreamRouteMissing if no_route else type(failure)
    return DiscoveryFailure(
        failure.message,
        status=VERDICTS[kind],
        code=kind.code,
        upstream_status=failure.upstream_status,
        retry_after=failure.retry_after,
    )
