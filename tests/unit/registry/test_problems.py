"""Errors as HTTP: the document, the headers, and what is never in them."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from flask import Flask, Response

from services.registry import problems, request_ids
from shared import errors
from shared.errors import JOB_FAILURES, REQUEST_ERRORS, CodedError, UpstreamRateLimited


@pytest.fixture(autouse=True)
def in_a_request() -> Iterator[None]:
    with Flask("test").test_request_context("/v1/there?x=1"):
        yield


def document(response: Response) -> dict[str, object]:
    found: dict[str, object] = json.loads(response.data)
    return found


@pytest.mark.parametrize("kind", REQUEST_ERRORS.values(), ids=REQUEST_ERRORS)
def test_a_refused_request_is_one_document_in_both_dialects(kind: type[CodedError]) -> None:
    response = problems.of_error(kind("Expected this, got that.", param="a.b"))
    assert response.status_code == kind.status
    assert response.content_type == "application/problem+json"
    found = document(response)
    assert found.pop("title")
    assert found == {
        "type": "about:blank",
        "status": kind.status,
        "detail": "Expected this, got that.",
        "instance": "/v1/there",
        "error": {
            "message": "Expected this, got that.",
            "type": kind.type,
            "code": kind.code,
            "param": "a.b",
        },
    }
    assert response.headers.get("x-should-retry") == ("false" if kind.status == 409 else None)
    assert response.headers.get("WWW-Authenticate") == ("Bearer" if kind.status == 401 else None)
    assert "Retry-After" not in response.headers


@pytest.mark.parametrize("code", JOB_FAILURES)
def test_a_failed_call_has_the_status_of_its_code_and_forbids_repeats(code: str) -> None:
    stored = {"message": "m", "type": "t", "code": code, "param": None}
    response = problems.of_failure({**stored, "may_have_been_billed": True})
    assert response.status_code == JOB_FAILURES[code].status
    assert response.headers["x-should-retry"] == "false"
    assert document(response)["error"] == {**stored, "may_have_been_billed": True}


def test_a_raised_failure_of_a_job_is_told_like_a_stored_one() -> None:
    failure = UpstreamRateLimited("Busy.", sent=True, refused_for_now=True, retry_after=2.2)
    response = problems.of_error(failure)
    assert (response.status_code, response.headers["Retry-After"]) == (429, "3")
    assert response.headers["x-should-retry"] == "false"


@pytest.mark.parametrize(("seconds", "told"), [(0.0, "1"), (0.4, "1"), (2.1, "3"), (9e9, "120")])
def test_retry_after_is_whole_seconds_from_1_to_120(seconds: float, told: str) -> None:
    response = problems.of_error(errors.QueueFull("Full.", retry_after=seconds))
    assert response.headers["Retry-After"] == told


@pytest.mark.parametrize(("malformed", "status"), [(True, 400), (False, 500)])
def test_what_never_was_a_request_is_answered_in_full(malformed: bool, status: int) -> None:
    head, _, body = problems.raw(malformed=malformed).partition(b"\r\n\r\n")
    lines = head.decode("ascii").split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines[1:])
    found = json.loads(body)
    assert lines[0].startswith(f"HTTP/1.1 {status} ")
    assert int(headers["Content-Length"]) == len(body)
    assert headers["Connection"] == "close"
    assert (found["status"], found["error"]["message"]) == (status, found["detail"])
    assert (headers["x-request-id"] in found["detail"]) is not malformed


@pytest.mark.parametrize("offered", ["a", "req_1", "x" * 128, "!~"])
def test_a_fit_request_id_is_kept(offered: str) -> None:
    assert request_ids.choose(offered) == offered


@pytest.mark.parametrize("offered", [None, "", "a b", "a\n", "x" * 129, "é"])
def test_an_unfit_request_id_is_replaced(offered: str | None) -> None:
    assert request_ids.choose(offered) != offered
    assert request_ids.choose(offered) != request_ids.choose(offered)
