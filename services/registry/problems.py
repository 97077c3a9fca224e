"""Errors as HTTP: the one module that knows both.

Every error is an RFC 9457 document whose member `error` is OpenAI's error object, so that both
official SDKs parse it. `x-should-retry: false` is the SDKs' own header: they must not repeat what
a worker already retried, nor a conflict.
"""

from __future__ import annotations

import logging
import math
from http import HTTPStatus
from typing import Any, Final

import msgspec
from flask import Flask, Response, request
from gunicorn.http.errors import ParseException
from werkzeug.exceptions import HTTPException

from services.registry import json_bodies, request_ids
from services.registry.metrics.figures import PROBLEM
from shared.crypto import SealBroken
from shared.errors import (
    BodyTooLarge,
    CodedError,
    InternalError,
    InvalidApiKey,
    InvalidValue,
    JobFailure,
    MethodNotAllowed,
    NotFound,
    Unreadable,
    UnsupportedMediaType,
    failure_status,
)
from shared.metrics.unreadable import tell
from shared.telemetry import request_id

CONTENT_TYPE: Final = "application/problem+json"
LONGEST_RETRY_AFTER: Final = 120  # seconds
_MALFORMED: Final = "Expected a well-formed HTTP/1.1 request, got something else."

logger = logging.getLogger(__name__)


def register(app: Flask) -> None:
    """Make every error of this application a problem document."""
    app.register_error_handler(CodedError, of_error)
    app.register_error_handler(SealBroken, of_broken_seal)
    app.register_error_handler(HTTPException, _of_werkzeug)
    app.register_error_handler(Exception, _of_others)


def of_error(error: CodedError) -> Response:
    """The answer to an error of the tree."""
    if isinstance(error, JobFailure):
        return of_failure(error.document(), retry_after=error.retry_after)
    body = {
        "message": error.message,
        "type": error.type,
        "code": error.code,
        "param": error.param,
    }
    response = _answer(error.status, body, retry_after=error.retry_after)
    if isinstance(error, InvalidApiKey):
        response.headers["WWW-Authenticate"] = "Bearer"
    if isinstance(error, UnsupportedMediaType) and request.method == "PATCH":
        response.headers["Accept-Patch"] = ", ".join(json_bodies.PATCHES)  # RFC 5789, section 2.2
    return response


def of_broken_seal(broken: SealBroken) -> Response:
    """The answer where a stored value does not open; the log says which, and with what key."""
    return of_error(unreadable(broken))


def unreadable(broken: SealBroken) -> Unreadable:
    """The error of a stored value that does not open, which is told and counted."""
    tell(broken)
    return Unreadable()


def of_failure(document: dict[str, Any], *, retry_after: float | None = None) -> Response:
    """The answer of a plain call whose job ended with this stored failure document."""
    response = _answer(failure_status(document), document, retry_after=retry_after)
    response.headers["x-should-retry"] = "false"
    return response


def coded(raised: Exception) -> CodedError:
    """Whatever was raised, as an error of the tree; the log has what is a defect."""
    if isinstance(raised, CodedError):
        return raised
    if isinstance(raised, SealBroken):
        return unreadable(raised)
    if isinstance(raised, HTTPException):
        return _translated(raised)
    if isinstance(raised, ParseException):  # of a body in chunks that are none, as it is read
        return InvalidValue(_MALFORMED)
    return _defect(raised)


def document(status: int, error: dict[str, Any], *, instance: str) -> dict[str, Any]:
    """The body of an error answer; `error` is OpenAI's error object."""
    return {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": error["message"],
        "instance": instance,
        "error": error,
    }


def raw(*, malformed: bool) -> bytes:
    """A whole HTTP answer for what never reached the application; the connection closes after it.

    `malformed` says that the client sent no HTTP request, else the defect is ours.
    """
    chosen = request_ids.new()
    error: CodedError = InternalError(
        f"Something went wrong in Dragoman. Its log has request {chosen}."
    )
    if malformed:
        error = InvalidValue(_MALFORMED)
    told = {"message": error.message, "type": error.type, "code": error.code, "param": None}
    body = msgspec.json.encode(document(error.status, told, instance=""))
    head = (
        f"HTTP/1.1 {error.status} {HTTPStatus(error.status).phrase}\r\n"
        f"Content-Type: {CONTENT_TYPE}\r\nContent-Length: {len(body)}\r\n"
        f"x-request-id: {chosen}\r\nConnection: close\r\n\r\n"
    )
    return head.encode("ascii") + body


def _answer(status: int, error: dict[str, Any], *, retry_after: float | None) -> Response:
    body = document(status, error, instance=request.path)
    request.environ[PROBLEM] = error["code"]
    response = Response(msgspec.json.encode(body), status, content_type=CONTENT_TYPE)
    if retry_after is not None:
        seconds = min(max(math.ceil(retry_after), 1), LONGEST_RETRY_AFTER)
        response.headers["Retry-After"] = str(seconds)
    if status == HTTPStatus.CONFLICT:
        response.headers["x-should-retry"] = "false"
    return response


def _of_werkzeug(raised: HTTPException) -> Any:
    """The framework's own refusals: unknown routes, wrong methods, bodies that are too large."""
    if raised.code is None or raised.code < 400:
        return raised  # a redirect is no error
    response = of_error(_translated(raised))
    for name, value in raised.get_headers():
        if name == "Allow":
            response.headers[name] = value
    return response


def _translated(raised: HTTPException) -> CodedError:
    method, path = request.method, request.path[:200]
    match raised.code:
        case 404:
            return NotFound(f"Expected a path of this API, got {path}. See /docs for the routes.")
        case 405:
            return MethodNotAllowed(
                f"Expected a method that {path} has, got {method}. See /docs for the routes."
            )
        case 413:
            return BodyTooLarge("Expected a body of at most 8 MiB, got more. Send less at once.")
        case 415:
            return UnsupportedMediaType(
                "Expected Content-Type: application/json, got another one. Send JSON."
            )
        case code if code is not None and code < 500:
            return InvalidValue(f"Expected a well-formed request, got: {raised.name}.")
    return _defect(raised)


def _of_others(raised: Exception) -> Response:
    return of_error(coded(raised))


def _defect(raised: Exception) -> InternalError:
    logger.error("a request ended in a defect", exc_info=raised)
    return InternalError(
        f"Something went wrong in Dragoman. Its log has request {request_id.get()}."
    )
