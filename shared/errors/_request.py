"""Errors of a request: the caller must change something."""

from __future__ import annotations

from shared.errors._base import CodedError


class RequestError(CodedError):
    """The request cannot be served as it is; nothing was changed by it."""

    type = "invalid_request_error"


class InvalidValue(RequestError):
    """A field, an argument or a header is missing or not as documented; or what came is no HTTP."""

    code, status = "invalid_value", 400


class UnknownField(RequestError):
    """A field or an argument of the query that there is not; `param` names it."""

    code, status = "unknown_field", 400


class ModelAmbiguous(RequestError):
    """A bare model id that several providers list; the message names up to ten of them."""

    code, status = "model_ambiguous", 400


class InvalidJson(RequestError):
    """The body is no JSON object within the bounds (UTF-8, depth, no NaN)."""

    code, status = "invalid_json", 400


class InvalidApiKey(RequestError):
    """No key or session, or none that is known and alive."""

    code, status, type = "invalid_api_key", 401, "authentication_error"


class InsufficientScope(RequestError):
    """The caller is known, but the role does not allow this, or a page of ours did not send it."""

    code, status, type = "insufficient_scope", 403, "permission_error"


class NotFound(RequestError):
    """No such resource, or not the caller's: both look the same."""

    code, status = "not_found", 404


class ModelNotFound(RequestError):
    """No model that the caller may use is meant by this id.

    Of `provider/model`: no such provider, or its `allow_models` leaves the model out; of a bare id:
    no enabled provider lists it; of `GET /v1/models/{id}`: its provider does not list it, or is
    disabled.
    """

    code, status = "model_not_found", 404


class ProviderNotFound(RequestError):
    """No living provider of that id or slug is visible to the caller."""

    code, status = "provider_not_found", 404


class MethodNotAllowed(RequestError):
    """The route exists, the method does not."""

    code, status = "method_not_allowed", 405


class BodyTooSlow(RequestError):
    """The body did not come in time."""

    code, status = "body_too_slow", 408


class ProviderNameTaken(RequestError):
    """Another living provider has this name or slug."""

    code, status = "provider_name_taken", 409


class ProviderDisabled(RequestError):
    """The provider takes no new jobs and is not refreshed until it is enabled."""

    code, status = "provider_disabled", 409


class StaleRevision(RequestError):
    """If-Match names a version that is no longer the current one."""

    code, status = "stale_revision", 412


class BodyTooLarge(RequestError):
    """The body is over 8 MiB."""

    code, status = "body_too_large", 413


class UnsupportedMediaType(RequestError):
    """The Content-Type of the body is not one that the route takes."""

    code, status = "unsupported_media_type", 415


class IdempotencyKeyReused(RequestError):
    """The same Idempotency-Key came with another body."""

    code, status = "idempotency_key_reused", 422


class QueueFull(RequestError):
    """Too many jobs are queued; `retry_after` says when to try again."""

    code, status, type = "queue_full", 429, "rate_limit_error"


class RateLimited(RequestError):
    """Over a limit: the key's own, or that of tests, of logins or of followers of events.

    `retry_after` says when to try again.
    """

    code, status, type = "rate_limited", 429, "rate_limit_error"


class InternalError(RequestError):
    """A defect of ours; the answer holds the request id and nothing else."""

    code, status, type = "internal_error", 500, "server_error"


class StoreUnavailable(RequestError):
    """The database does not answer; nothing was accepted."""

    code, status, type = "store_unavailable", 503, "server_error"
