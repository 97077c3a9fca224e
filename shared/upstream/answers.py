"""What an answer means: a completion, or a class of the error tree.

Classified by status and shape, never by prose. Shapes are those of the servers in the recorded
samples; see `upstream_text` for where their messages stand.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Final

import httpx

from shared.errors import (
    UpstreamAuthenticationFailed,
    UpstreamFailure,
    UpstreamInvalidAnswer,
    UpstreamLoading,
    UpstreamRateLimited,
    UpstreamRefused,
    UpstreamRouteMissing,
    UpstreamServerError,
)
from shared.telemetry import Secret
from shared.upstream import strict_json
from shared.upstream.retry_after import retry_after
from shared.upstream.upstream_text import (
    Concealer,
    marks_of,
    message_of,
    message_of_text,
    shown,
    unlisted,
)

# Media types of bodies that are no JSON, whatever they hold.
NO_JSON: Final = {
    "text/html": "an HTML page",
    "application/xhtml+xml": "an HTML page",
    "text/event-stream": "a stream that was not asked for",
}
COMPRESSED: Final = "a compressed body, which was not asked for"
# A gateway that gave up waiting; the work behind it may go on. 520 and 524 are Cloudflare's.
_AMBIGUOUS: Final = frozenset({502, 504, 520, 524})


@dataclass(frozen=True, slots=True)
class RawAnswer:
    """One answer as it was read.

    `expected` names what was asked for, `where` is host:port, `key` is what must not be shown.
    """

    expected: str
    status: int
    headers: httpx.Headers = field(repr=False)  # they and the body may hold what is not to be shown
    body: bytes = field(repr=False)
    where: str
    key: Secret | None

    @property
    def content_type(self) -> str:
        """The media type, lower-case, without parameters; "" when none was given."""
        return media_type(self.headers)

    def document(self, *, share: float = 1.0) -> Any:
        """The body as JSON; raises NotJson, whose message ends the sentence "got …".

        `share` is that of `strict_json.parse`.
        """
        if (other := NO_JSON.get(self.content_type)) is not None:
            raise strict_json.NotJson(other)
        try:
            return Concealer(self.key).value(strict_json.parse(self.body, share=share), self.body)
        except strict_json.NotJson as fault:
            if self.body and is_compressed(self.headers):
                raise strict_json.NotJson(COMPRESSED) from None
            raise fault from None

    def error_text(self) -> str:
        """What the upstream says went wrong, fit to be shown; "" when nothing is."""
        try:
            document = self.document()
        except strict_json.NotJson:
            return message_of_text(self.body, self.content_type, self.key)
        return message_of(document, self.key)


def media_type(headers: httpx.Headers) -> str:
    """The media type, lower-case, without parameters; "" when none was given."""
    return str(headers.get("content-type", "")).partition(";")[0].strip().lower()


def is_compressed(headers: httpx.Headers) -> bool:
    """Whether the body is said to be encoded, which we ask servers not to do."""
    return headers.get("content-encoding", "").strip().lower() not in ("", "identity")


def completion(answer: RawAnswer) -> dict[str, Any]:
    """The chat completion in a 2xx answer; raises UpstreamInvalidAnswer or UpstreamRefused."""
    try:
        document = answer.document()
    except strict_json.NotJson as fault:
        raise unusable(answer, str(fault)) from None
    refuse_error(answer, document)
    if not isinstance(document, dict):
        raise unusable(answer, "JSON that is no object")
    choices = document.get("choices")
    if not isinstance(choices, list) or not all(isinstance(item, dict) for item in choices):
        raise unusable(answer, "JSON without a list of choices")
    return document


def refuse_error(answer: RawAnswer, document: Any) -> None:
    """Raise UpstreamRefused with the upstream's words when a good status carries an error."""
    if (refused := error_in(answer, document)) is not None:
        raise refused


def error_in(answer: RawAnswer, document: Any) -> UpstreamRefused | None:
    """The refusal with the upstream's words that a document stands for, if it is an error."""
    document = unlisted(document)
    if not isinstance(document, dict) or not (document.get("error") or _is_flat_error(document)):
        return None
    said = message_of(document, answer.key)
    return UpstreamRefused(
        _sentence(answer, "a 200 that carries an error", said),
        sent=True,
        upstream_status=answer.status,
        upstream_error=marks_of(_error_of(document), answer.key),
        may_have_been_billed=True,  # some send it after they began to generate
    )


def _is_flat_error(document: dict[str, Any]) -> bool:
    """Whether the document itself is the error, as with vLLM before 0.10.1."""
    return document.get("object") == "error"


def refusal(answer: RawAnswer, *, model: str | None, now: float) -> UpstreamFailure:
    """The failure that an answer outside 2xx stands for.

    `model` is the id that was asked for, `now` Unix seconds (a Retry-After may be a date).
    """
    status, text = answer.status, answer.error_text()
    wait = retry_after(answer.headers, now=now)
    came: dict[str, Any] = {"sent": True, "upstream_status": status}
    came["upstream_error"] = marks_of(_error_fields(answer), answer.key)
    if status in (401, 403):
        hint = "check the provider's api_key" if answer.key else "the provider needs an api_key"
        return UpstreamAuthenticationFailed(
            _sentence(answer, f"status {status}", text, hint), **came
        )
    if status == 429:
        return UpstreamRateLimited(
            _sentence(answer, "status 429 (too many requests)", text),
            refused_for_now=True,
            retry_after=wait,
            **came,
        )
    if status == 503:
        loading = _is_loading(answer)
        return (UpstreamLoading if loading else UpstreamServerError)(
            _sentence(answer, "status 503" + (" (model is loading)" if loading else ""), text),
            refused_for_now=True,
            retry_after=wait,
            **came,
        )
    if status >= 500:
        return UpstreamServerError(
            _sentence(answer, f"status {status}", text),
            may_have_been_billed=status in _AMBIGUOUS,
            **came,
        )
    if status in (404, 405) and not _is_about_the_model(answer, model):
        return UpstreamRouteMissing(
            _sentence(answer, f"status {status}", text, "check the path of the endpoint"),
            **came,
        )
    if 300 <= status < 400:
        target = shown(answer.headers.get("location", ""), answer.key, 200)
        hint = "redirects are not followed; use the final address as endpoint"
        got = f"status {status}" + (f" to {target}" if target else "")
        return UpstreamRefused(_sentence(answer, got, "", hint), **came)
    if status < 300:
        return unusable(answer, f"status {status}")
    return UpstreamRefused(_sentence(answer, f"status {status}", text), **came)


def _sentence(answer: RawAnswer, got: str, text: str, hint: str = "") -> str:
    said = f": {text}" if text else ""
    return f"Expected {answer.expected} from {answer.where}, got {got}{said}" + (
        f" ({hint})." if hint else ("" if said.endswith((".", "!", "?", "…")) else ".")
    )


def unusable(answer: RawAnswer, got: str) -> UpstreamInvalidAnswer:
    """The failure of an answer with a good status and a body that is not; `got` says what came."""
    return UpstreamInvalidAnswer(
        _sentence(answer, got, "", "check the endpoint"),
        sent=True,
        upstream_status=answer.status,
        may_have_been_billed=True,
    )


def _error_fields(answer: RawAnswer) -> dict[str, Any]:
    """The error object of either dialect: nested under `error`, or flat (older vLLM)."""
    try:
        document = unlisted(answer.document())
    except strict_json.NotJson:
        return {}
    return _error_of(document) if isinstance(document, dict) else {}


def _error_of(document: dict[str, Any]) -> dict[str, Any]:
    error = document.get("error")
    if isinstance(error, dict):
        return error
    return document if _is_flat_error(document) else {"message": error}


def _is_loading(answer: RawAnswer) -> bool:
    return _error_fields(answer).get("type") == "unavailable_error"


def _is_about_the_model(answer: RawAnswer, model: str | None) -> bool:
    """Whether a 404 is about the model rather than the route: marked so, or naming the id."""
    fields = _error_fields(answer)
    if fields.get("param") == "model":
        return True
    if any("model" in mark for key in ("code", "type") if isinstance(mark := fields.get(key), str)):
        return True
    message = fields.get("message")
    return bool(
        model
        and isinstance(message, str)
        and re.search(rf"(?<![\w-]){re.escape(model)}(?![\w-])", message)
    )
