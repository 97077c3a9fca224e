"""One tree of errors with stable codes, drawn first.

    DragomanError
    ├── ConfigurationError                 the process must not start
    ├── RequestError                       the caller must change something
    │   ├── InvalidValue UnknownField ModelAmbiguous InvalidJson              400
    │   ├── InvalidApiKey                                                     401
    │   ├── InsufficientScope                                                 403
    │   ├── NotFound ModelNotFound ProviderNotFound                           404
    │   ├── MethodNotAllowed                                                  405
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
        └── DeadlineExceeded Interrupted Poisoned Unstorable JobProviderDeleted Cancelled

A class carries its code, its HTTP status and OpenAI's error type. The domain raises; one module
of the registry (`services.registry.problems`) knows HTTP. Messages say what was expected, what
came and what to do; they never hold a key, a stack trace or HTML.
"""

from __future__ import annotations

from typing import Any, ClassVar


class DragomanError(Exception):
    """Any error that Dragoman raises on purpose."""


class ConfigurationError(DragomanError):
    """The configuration is unusable; `faults` lists every fault found, one sentence each."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


class CodedError(DragomanError):
    """An error with a stable code that callers may match on.

    `param` is the JSON path of the field at fault; `retry_after` is in seconds.
    """

    code: ClassVar[str]
    status: ClassVar[int]
    type: ClassVar[str]

    def __init__(
        self, message: str, *, param: str | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.retry_after = retry_after


class RequestError(CodedError):
    """The request cannot be served as it is; nothing was changed by it."""

    type = "invalid_request_error"


class InvalidValue(RequestError):
    """A field has a value outside its documented range."""

    code, status = "invalid_value", 400


class UnknownField(RequestError):
    """A field that the resource does not have; `param` names it."""

    code, status = "unknown_field", 400


class ModelAmbiguous(RequestError):
    """A bare model id that several providers list; the message names them."""

    code, status = "model_ambiguous", 400


class InvalidJson(RequestError):
    """The body is no JSON object within the bounds (UTF-8, depth, no NaN)."""

    code, status = "invalid_json", 400


class InvalidApiKey(RequestError):
    """No key, or none that is known and alive."""

    code, status, type = "invalid_api_key", 401, "authentication_error"


class InsufficientScope(RequestError):
    """The key is valid, its role does not allow this."""

    code, status, type = "insufficient_scope", 403, "permission_error"


class NotFound(RequestError):
    """No such resource, or not the caller's: both look the same."""

    code, status = "not_found", 404


class ModelNotFound(RequestError):
    """A bare model id that no enabled provider lists."""

    code, status = "model_not_found", 404


class ProviderNotFound(RequestError):
    """No living provider of that id or slug is visible to the caller."""

    code, status = "provider_not_found", 404


class MethodNotAllowed(RequestError):
    """The route exists, the method does not."""

    code, status = "method_not_allowed", 405


class ProviderNameTaken(RequestError):
    """Another living provider has this name or slug."""

    code, status = "provider_name_taken", 409


class ProviderDisabled(RequestError):
    """The provider takes no new jobs until it is enabled."""

    code, status = "provider_disabled", 409


class StaleRevision(RequestError):
    """If-Match names a version that is no longer the current one."""

    code, status = "stale_revision", 412


class BodyTooLarge(RequestError):
    """The body is over 8 MiB."""

    code, status = "body_too_large", 413


class UnsupportedMediaType(RequestError):
    """The body is not application/json."""

    code, status = "unsupported_media_type", 415


class IdempotencyKeyReused(RequestError):
    """The same Idempotency-Key came with another body."""

    code, status = "idempotency_key_reused", 422


class QueueFull(RequestError):
    """Too many jobs are queued; `retry_after` says when to try again."""

    code, status, type = "queue_full", 429, "rate_limit_error"


class RateLimited(RequestError):
    """The key is over its own limit; `retry_after` says when to try again."""

    code, status, type = "rate_limited", 429, "rate_limit_error"


class InternalError(RequestError):
    """A defect of ours; the answer holds the request id and nothing else."""

    code, status, type = "internal_error", 500, "server_error"


class StoreUnavailable(RequestError):
    """The database does not answer; nothing was accepted."""

    code, status, type = "store_unavailable", 503, "server_error"


class JobFailure(CodedError):
    """Why a chat ended `failed`.

    `may_have_been_billed` is true when the provider may have done the work all the same.
    `phase` names the bound that ran out (connect, first_byte, idle, total), `upstream_status`
    is the HTTP status that the provider answered.
    """

    type = "server_error"

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        retry_after: float | None = None,
        may_have_been_billed: bool = False,
        phase: str | None = None,
        upstream_status: int | None = None,
    ) -> None:
        super().__init__(message, param=param, retry_after=retry_after)
        self.may_have_been_billed = may_have_been_billed
        self.phase = phase
        self.upstream_status = upstream_status

    def document(self) -> dict[str, Any]:
        """OpenAI's error object with our `may_have_been_billed`, as stored and answered."""
        document: dict[str, Any] = {
            "message": self.message,
            "type": self.type,
            "code": self.code,
            "param": self.param,
            "may_have_been_billed": self.may_have_been_billed,
        }
        if self.phase is not None:
            document["phase"] = self.phase
        if self.upstream_status is not None:
            document["upstream_status"] = self.upstream_status
        return document


class UpstreamFailure(JobFailure):
    """The provider, or the way to it.

    `sent` is false only when provably no byte of the request left (DNS, connect, TLS, guard).
    `refused_for_now` is true when the provider answered that it cannot serve this yet (429, 503).
    """

    type = "upstream_error"

    def __init__(
        self, message: str, *, sent: bool, refused_for_now: bool = False, **rest: Any
    ) -> None:
        super().__init__(message, **rest)
        self.sent = sent
        self.refused_for_now = refused_for_now


class OutboundForbidden(UpstreamFailure):
    """The outbound guard refused the address."""

    code, status = "outbound_forbidden", 502


class UpstreamUnreachable(UpstreamFailure):
    """No connection could be made: name unknown, refused, no route."""

    code, status = "upstream_unreachable", 502


class UpstreamTlsFailed(UpstreamFailure):
    """The TLS handshake or the certificate check failed."""

    code, status = "upstream_tls_failed", 502


class UpstreamTimeout(UpstreamFailure):
    """One of our bounds ran out; `phase` says which."""

    code, status = "upstream_timeout", 504


class UpstreamAuthenticationFailed(UpstreamFailure):
    """The provider answered 401 or 403."""

    code, status = "upstream_authentication_failed", 502


class UpstreamRateLimited(UpstreamFailure):
    """The provider answered 429."""

    code, status = "upstream_rate_limited", 429


class UpstreamLoading(UpstreamFailure):
    """The provider answered that its model is still loading."""

    code, status = "upstream_loading", 503


class UpstreamInvalidAnswer(UpstreamFailure):
    """A 200 that is no chat completion."""

    code, status = "upstream_invalid_answer", 502


class UpstreamStreamBroken(UpstreamFailure):
    """The answer was cut short or reset after its first byte."""

    code, status = "upstream_stream_broken", 502


class UpstreamRefused(UpstreamFailure):
    """The provider refused the request itself; its own status is passed on where it is one of
    400, 404, 413 and 422."""

    code, status = "upstream_refused", 502
    passed_on: ClassVar[frozenset[int]] = frozenset({400, 404, 413, 422})


class UpstreamServerError(UpstreamFailure):
    """The provider answered 5xx."""

    code, status = "upstream_server_error", 502


class UpstreamRouteMissing(UpstreamFailure):
    """404 or 405 of the chat route itself: the endpoint is wrong."""

    code, status = "upstream_route_missing", 502


class DeadlineExceeded(JobFailure):
    """The job's own `timeout` ran out, in the queue or while running."""

    code, status = "deadline_exceeded", 504


class Interrupted(JobFailure):
    """The worker died, or the connection was lost before the first byte of the answer."""

    code, status = "interrupted", 502


class Poisoned(JobFailure):
    """The job lost its worker three times."""

    code, status = "poisoned", 502


class Unstorable(JobFailure):
    """The answer could not be stored."""

    code, status = "unstorable", 502


class JobProviderDeleted(JobFailure):
    """The provider was deleted while the job was queued."""

    code, status = "provider_deleted", 409


class Cancelled(JobFailure):
    """The job was cancelled."""

    code, status = "cancelled", 409


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
