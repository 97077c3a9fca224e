"""What schemathesis must know of Dragoman: loaded by its command line, through SCHEMATHESIS_HOOKS.

Calls that wait by contract are made to wait a second at most, the key that calls and the provider
that answers are spared, and two checks of ours hold every error.
"""

from __future__ import annotations

import os
import re
from collections.abc import MutableMapping
from typing import Any, Final, TypeAlias

import schemathesis
from schemathesis import CheckContext, HookContext, Response
from schemathesis.specs.openapi import checks

from shared.errors import JOB_FAILURES, REQUEST_ERRORS, StoreUnavailable, failure_status

SPARED: Final = "DRAGOMAN_TEST_SPARED"  # ids and slugs that are neither changed nor deleted
NOBODY: Final = "nobody"
Case: TypeAlias = "schemathesis.Case[Any]"
UNNAMED: Final = ("invalid_json", "model_ambiguous")  # refused as a whole, or for what is served
NAMELESS: Final = "one without a name"
_WAIT: Final = re.compile(r"wait=\d+")


@schemathesis.hook
def before_call(context: HookContext, case: Case, kwargs: dict[str, Any]) -> None:
    """Keep a call within the seconds that a call without a wait may take."""
    method, body = case.method.upper(), case.body
    if "Prefer" in case.headers:
        case.headers["Prefer"] = _WAIT.sub("wait=1", str(case.headers["Prefer"]))
    if case.path == "/v1/providers/test":  # else up to 30 s
        case.headers["Prefer"] = "respond-async"
    if case.path == "/v1/events":  # else a stream without an end
        case.headers["Accept"] = "application/json"
    if method == "GET" and str(case.query.get("stream")).lower() == "true":
        case.query["stream"] = "false"  # it follows a job that may wait for an hour
    if method in ("PATCH", "DELETE"):
        for name, value in case.path_parameters.items():
            if str(value) in os.environ.get(SPARED, "").split(","):
                case.path_parameters[name] = NOBODY
    if isinstance(body, dict):
        if case.path.startswith("/v1/providers"):
            _make_likely(body)
        elif body.get("stream") is True:
            body["background"] = False


def _make_likely(body: MutableMapping[str, Any]) -> None:
    """No schema says what a certificate is: every provider that has one would be refused."""
    options = body.get("options")
    if isinstance(options, dict) and isinstance(options.get("ca_certificate"), str):
        options["ca_certificate"] = None


@schemathesis.check
def failures_are_an_upstreams(ctx: CheckContext, response: Response, case: Case) -> bool | None:
    """500 and more is only the failure of a call that an upstream was to answer, or an outage."""
    status = response.status_code
    if status < 500 or (status == 503 and case.path == "/health/ready"):
        return None
    error = response.json()["error"]
    if error["code"] == StoreUnavailable.code:
        raise AssertionError("the database is said to be away")
    assert error["code"] in JOB_FAILURES, f"{status} {error}"
    assert failure_status(error) == status, f"{status} {error}"
    return None


@schemathesis.check
def errors_have_one_shape(ctx: CheckContext, response: Response, case: Case) -> bool | None:
    """RFC 9457 around OpenAI's error object; a refused value is named by `param`."""
    status = response.status_code
    assert response.headers.get("x-request-id"), "no x-request-id"
    if status < 400 or (status == 503 and case.path == "/health/ready"):
        return None
    assert response.headers["content-type"] == ["application/problem+json"], response.headers
    document = response.json()
    error = document["error"]
    assert document["status"] == status, document
    assert document["detail"] == error["message"], document
    kind = {**REQUEST_ERRORS, **JOB_FAILURES}[error["code"]]
    assert error["type"] == kind.type, document
    if status == 400 and error["code"] not in UNNAMED and NAMELESS not in error["message"]:
        assert error["param"], f"nothing is named: {error}"
    return None


@schemathesis.check
def answers_fit_their_schema(ctx: CheckContext, response: Response, case: Case) -> bool | None:
    """As schemathesis has it, but for streams: OpenAPI 3.1 describes a stream as one text."""
    kind = response.headers.get("content-type", [""])[0]
    if kind.startswith("text/event-stream"):
        return None
    return checks.response_schema_conformance(ctx, response, case)


@schemathesis.check
def what_was_deleted_is_gone(ctx: CheckContext, response: Response, case: Case) -> bool | None:
    """As schemathesis has it, but for keys, which stay in the list as revoked ones."""
    if case.path.startswith("/v1/keys/"):
        return None
    return checks.use_after_free(ctx, response, case)
