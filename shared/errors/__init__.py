"""One tree of errors with stable codes, drawn first.

    DragomanError
    ├── ConfigurationError                 the process must not start
    ├── RequestError                       the caller must change something
    │   ├── InvalidValue UnknownField ModelAmbiguous InvalidJson              400
    │   ├── InvalidApiKey                                                     401
    │   ├── InsufficientScope                                                 403
    │   ├── NotFound ModelNotFound ProviderNotFound                           404
    │   ├── MethodNotAllowed                                                  405
    │   ├── BodyTooSlow                                                       408
    │   ├── ProviderNameTaken ProviderDisabled                                409
    │   ├── StaleRevision 412, BodyTooLarge 413, UnsupportedMediaType 415
    │   ├── IdempotencyKeyReused                                              422
    │   ├── QueueFull RateLimited                                             429
    │   ├── InternalError                                                     500
    │   └── StoreUnavailable                                                  503
    └── JobFailure                         why a chat ended `failed`
        ├── UpstreamFailure                the provider, or the way to it
        │   ├── OutboundForbidden UpstreamUnreachable UpstreamTlsFailed UpstreamTimeout
        │   ├── UpstreamAuthenticationFailed UpstreamRateLimited UpstreamLoading
        │   ├── UpstreamInvalidAnswer UpstreamStreamBroken UpstreamRefused
        │   └── UpstreamServerError UpstreamRouteMissing
        └── DeadlineExceeded Interrupted Poisoned Unstorable Unreadable JobProviderDeleted Cancelled

A class carries its code, its HTTP status and OpenAI's error type. The domain raises; one module
of the registry (`services.registry.problems`) knows HTTP. Messages say what was expected, what
came and what to do; they never hold a key, a stack trace or HTML.
"""

from __future__ import annotations

from typing import Any

from shared.errors._base import CodedError, ConfigurationError, DragomanError, Faults
from shared.errors._job import (
    Cancelled,
    DeadlineExceeded,
    Interrupted,
    JobFailure,
    JobProviderDeleted,
    OutboundForbidden,
    Poisoned,
    Unreadable,
    Unstorable,
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
from shared.errors._request import (
    BodyTooLarge,
    BodyTooSlow,
    IdempotencyKeyReused,
    InsufficientScope,
    InternalError,
    InvalidApiKey,
    InvalidJson,
    InvalidValue,
    MethodNotAllowed,
    ModelAmbiguous,
    ModelNotFound,
    NotFound,
    ProviderDisabled,
    ProviderNameTaken,
    ProviderNotFound,
    QueueFull,
    RateLimited,
    RequestError,
    StaleRevision,
    StoreUnavailable,
    UnknownField,
    UnsupportedMediaType,
)


def _concrete(root: type[CodedError]) -> dict[str, type[CodedError]]:
    found: dict[str, type[CodedError]] = {}
    for child in root.__subclasses__():
        if "code" in vars(child):
            found[child.code] = child
        found.update(_concrete(child))
    return found


REQUEST_ERRORS: dict[str, type[CodedError]] = _concrete(RequestError)
JOB_FAILURES: dict[str, type[CodedError]] = _concrete(JobFailure)


def failure_status(document: dict[str, Any]) -> int:
    """The HTTP status that a plain call answers for a stored failure document."""
    upstream_status = document.get("upstream_status")
    if document["code"] == UpstreamRefused.code and upstream_status in UpstreamRefused.passed_on:
        return int(upstream_status)
    return JOB_FAILURES[document["code"]].status


__all__ = [
    "JOB_FAILURES",
    "REQUEST_ERRORS",
    "BodyTooLarge",
    "BodyTooSlow",
    "Cancelled",
    "CodedError",
    "ConfigurationError",
    "DeadlineExceeded",
    "DragomanError",
    "Faults",
    "IdempotencyKeyReused",
    "InsufficientScope",
    "InternalError",
    "Interrupted",
    "InvalidApiKey",
    "InvalidJson",
    "InvalidValue",
    "JobFailure",
    "JobProviderDeleted",
    "MethodNotAllowed",
    "ModelAmbiguous",
    "ModelNotFound",
    "NotFound",
    "OutboundForbidden",
    "Poisoned",
    "ProviderDisabled",
    "ProviderNameTaken",
    "ProviderNotFound",
    "QueueFull",
    "RateLimited",
    "RequestError",
    "StaleRevision",
    "StoreUnavailable",
    "UnknownField",
    "Unreadable",
    "Unstorable",
    "UnsupportedMediaType",
    "UpstreamAuthenticationFailed",
    "UpstreamFailure",
    "UpstreamInvalidAnswer",
    "UpstreamLoading",
    "UpstreamRateLimited",
    "UpstreamRefused",
    "UpstreamRouteMissing",
    "UpstreamServerError",
    "UpstreamStreamBroken",
    "UpstreamTimeout",
    "UpstreamTlsFailed",
    "UpstreamUnreachable",
    "failure_status",
]
