"""Failures of a job: why a chat ended `failed`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from shared.errors._base import CodedError


class JobFailure(CodedError):
    """Why a chat ended `failed`.

    `may_have_been_billed` is true when the provider may have done the work all the same.
    `phase` names the bound that ran out (connect, first_byte, idle, total), `upstream_status`
    is the HTTP status that the provider answered, `upstream_error` what its error named of
    `type`, `code` and `param`: programs tell errors apart by them.
    """

    type = "server_error"
    standard: ClassVar[str] = ""  # the sentence where no call of its own has more to say

    def __init__(
        self,
        message: str = "",
        *,
        param: str | None = None,
        retry_after: float | None = None,
        may_have_been_billed: bool = False,
        phase: str | None = None,
        upstream_status: int | None = None,
        upstream_error: Mapping[str, str | int] | None = None,
    ) -> None:
        super().__init__(message or self.standard, param=param, retry_after=retry_after)
        self.may_have_been_billed = may_have_been_billed
        self.phase = phase
        self.upstream_status = upstream_status
        self.upstream_error = upstream_error

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
        if self.upstream_error:
            document["upstream_error"] = {**self.upstream_error}
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
    """A good status without a chat completion, no HTTP, or an answer too long to be kept."""

    code, status = "upstream_invalid_answer", 502


class UpstreamStreamBroken(UpstreamFailure):
    """The answer was cut short or reset after its first byte."""

    code, status = "upstream_stream_broken", 502


class UpstreamRefused(UpstreamFailure):
    """The provider refused the request itself, redirected it, or answered an error as a 200.

    `passed_on` statuses reach the caller unchanged.
    """

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
    standard = (
        "The job's `timeout` ran out before an answer came. "
        "Allow it more time, or see whether its provider answers."
    )


class Interrupted(JobFailure):
    """The worker died or stopped, or the connection was lost before the answer's first byte."""

    code, status = "interrupted", 502
    standard = (
        "The call was cut off after its bytes had left, so the provider may have done the work. "
        'Submit it again, or use `on_interrupt: "retry"` where a second call does no harm.'
    )


class Poisoned(JobFailure):
    """The job lost its worker three times."""

    code, status = "poisoned", 502
    standard = (
        "The job lost three workers in a row and is not tried again. "
        "Look at the workers' logs for what ended them."
    )


class Unstorable(JobFailure):
    """The answer could not be stored."""

    code, status = "unstorable", 502
    standard = (
        "The provider answered, but the answer could not be stored. "
        "Look at the chat worker's log for the reason."
    )


class Unreadable(JobFailure):
    """What is stored does not open with the keyring in force."""

    code, status = "unreadable", 500
    standard = (
        "Expected what is stored here to open with the keyring in force; it does not. "
        "Restore the key that sealed it (docs/keyring.md); Dragoman's log names key and row."
    )


class JobProviderDeleted(JobFailure):
    """The provider was deleted while the job was queued."""

    code, status = "provider_deleted", 409
    standard = "The provider was deleted while the job was queued. Submit it to another provider."


class Cancelled(JobFailure):
    """The job was cancelled."""

    code, status = "cancelled", 409
    standard = "The job was cancelled."
