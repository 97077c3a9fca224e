"""Answers by status and shape: the dialects that no sample holds, and the hostile ones."""

# ruff: noqa: RUF001 - the angle that replaces one
from __future__ import annotations

import dataclasses
import json
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import (
    UpstreamFailure,
    UpstreamInvalidAnswer,
    UpstreamLoading,
    UpstreamRefused,
    UpstreamRouteMissing,
    UpstreamServerError,
)
from shared.telemetry import Secret
from shared.upstream.answers import RawAnswer, completion, refusal
from shared.upstream.upstream_text import Concealer, message_of

NOW = 1_795_352_568.0
KEY = Secret("sk-canary-0123456789abcdef")


def answer(
    status: int,
    body: bytes | dict[str, Any] | list[Any],
    content_type: str = "application/json",
    headers: dict[str, str] | None = None,
) -> RawAnswer:
    return RawAnswer(
        expected="a chat completion",
        status=status,
        headers=httpx.Headers({"content-type": content_type, **(headers or {})}),
        body=body if isinstance(body, bytes) else json.dumps(body).encode(),
        where="h:443",
        key=KEY,
    )


def refused(status: int, body: bytes | dict[str, Any], *rest: Any) -> UpstreamFailure:
    return refusal(answer(status, body, *rest), model="org/llama", now=NOW)


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"error": {"message": "nested", "code": 400}}, "nested"),
        ({"error": "a string", "error_type": "validation"}, "a string"),
        ({"object": "error", "message": "flat", "code": 400}, "flat"),
        ({"detail": "fastapi"}, "fastapi"),
        ({"detail": [{"loc": ["body"], "msg": "field required"}]}, "field required"),
        ({"error": {"code": 1}, "message": "beside"}, "beside"),
        (b"plain text", "plain text"),
        (b"a" * 400, "a" * 299 + "…"),
        (b"  two\r\nlines\x1b[31m\xe2\x80\xae ", "two lines [31m"),
        (b"binary\x00", ""),
    ],
)
def test_the_upstreams_own_text_is_found_in_every_dialect(body: Any, text: str) -> None:
    content_type = "text/plain" if isinstance(body, bytes) else "application/json"
    shown = refused(422, body, content_type).message
    said = f": {text}" if text else ""
    assert shown.rstrip(".") == f"Expected a chat completion from h:443, got status 422{said}"


@pytest.mark.parametrize(
    "body",
    [
        b"<html><body>nginx</body></html>",
        b"<!DOCTYPE html>",
        b"",
        b"\xff\xfe\x00\x01",
        b'{"error": {"message": "<html><script>alert(1)</script>"}}',
        b'{"detail": "<h1>Bad Gateway</h1>"}',
        b"[]",
        b"null",
        b'{"error": null}',
    ],
)
@pytest.mark.parametrize("content_type", ["text/html; charset=utf-8", "application/json", ""])
def test_html_and_nothing_are_never_shown(body: bytes, content_type: str) -> None:
    shown = refused(500, body, content_type).message
    assert shown in (
        "Expected a chat completion from h:443, got status 500.",
        "Expected a chat completion from h:443, got status 500: [].",
        "Expected a chat completion from h:443, got status 500: null.",
    )
    assert "<" not in shown


def test_our_own_key_echoed_in_an_error_is_starred() -> None:
    echo = f"Incorrect API key provided: {KEY.reveal()}."
    for body in ({"error": {"message": echo}}, {"error": echo}, echo.encode()):
        failure = refused(401, body, "text/plain" if isinstance(body, bytes) else "x")
        assert KEY.reveal() not in failure.message
        assert "Incorrect API key provided: ***" in failure.message


@pytest.mark.parametrize(
    "echo",
    [
        b'"sk-slash/plus+0123456789"',
        b'"sk-slash\\/plus+0123456789"',
        b'"\\u0073\\u006b-slash\\u002fplus\\u002b0123456789"',
        b'"?key=sk-slash%2Fplus%2B0123456789"',
    ],
)
def test_a_key_is_starred_in_whatever_way_json_or_a_url_writes_it(echo: bytes) -> None:
    key = Secret("sk-slash/plus+0123456789")
    good = answer(200, b'{"choices":[{"a":' + echo + b"},{" + echo + b':1}],"echo":' + echo + b"}")
    bad = answer(400, b'{"error":{"message":' + echo + b"}}")
    seen = completion(dataclasses.replace(good, body=Concealer(key).body(good.body), key=key))
    assert "0123456789" not in json.dumps(seen)
    assert seen["echo"].endswith("***")
    told = refusal(dataclasses.replace(bad, key=key), model=None, now=NOW).message
    assert "***" in told
    assert "0123456789" not in told


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("got <class 'int'>, not <str>", "got ‹class 'int'>, not ‹str>"),
        ("<b>bold</b> <!-- x -->", "‹b>bold‹/b> ‹!-- x -->"),
        ("1 < 2 <3", "1 < 2 <3"),
        ("<script>x</script>", ""),
    ],
)
def test_no_tag_of_the_upstreams_is_left_in_a_message(said: str, shown: str) -> None:
    assert message_of({"error": {"message": said}}, KEY) == shown


def test_a_key_cut_by_the_length_limit_does_not_show_its_beginning() -> None:
    text = "x" * 290 + KEY.reveal()
    assert "sk-" not in refused(400, text.encode(), "text/plain").message


def test_our_key_inside_a_good_body_is_starred_as_json_writes_it() -> None:
    key = Secret('sk-"quoted"/0123456789')
    body = json.dumps({"a": key.reveal()}).encode()
    assert json.loads(Concealer(key).body(body)) == {"a": "***"}
    slashed = body.replace(b"/", b"\\/")
    assert json.loads(Concealer(key).body(slashed)) == {"a": "***"}
    assert Concealer(Secret("none")).body(b'{"a":"none"}') == b'{"a":"none"}'


@pytest.mark.parametrize(
    ("body", "about_the_model"),
    [
        ({"error": {"message": "no", "code": "model_not_found"}}, True),
        ({"error": {"message": "no", "type": "ModelNotFound", "param": "model"}}, True),
        ({"error": {"message": "The model `org/llama` does not exist.", "code": 404}}, True),
        ({"error": {"message": "model 'org/llama' not found", "code": None}}, True),
        ({"object": "error", "message": "The model `org/llama` does not exist."}, True),
        ({"error": "org/llama is not loaded"}, True),
        ({"error": {"message": "org/llama-2 is not org/llamas"}}, False),
        ({"error": {"message": "File Not Found", "type": "not_found_error", "code": 404}}, False),
        ({"error": {"message": "Unknown request URL", "code": "unknown_url"}}, False),
        ({"detail": "Not Found"}, False),
        ({"message": "no Route matched with those values"}, False),
        (b"404 page not found", False),
        (b"", False),
        (b"[1]", False),
    ],
)
@pytest.mark.parametrize("status", [404, 405])
def test_a_404_is_about_the_route_unless_its_shape_names_the_model(
    status: int, body: Any, about_the_model: bool
) -> None:
    failure = refused(status, body)
    assert type(failure) is (UpstreamRefused if about_the_model else UpstreamRouteMissing)


def test_503_is_loading_only_in_the_shape_that_says_so() -> None:
    loading = refused(503, {"error": {"message": "x", "type": "unavailable_error"}})
    busy = refused(503, {"error": {"message": "Loading model", "type": "overloaded"}}, "x")
    assert (type(loading), type(busy)) == (UpstreamLoading, UpstreamServerError)
    assert loading.refused_for_now
    assert busy.refused_for_now


@pytest.mark.parametrize("status", [500, 501, 502, 504, 520, 524, 529, 599])
def test_only_gateways_that_gave_up_waiting_are_ambiguous(status: int) -> None:
    failure = refused(status, b"")
    assert type(failure) is UpstreamServerError
    assert failure.may_have_been_billed == (status in (502, 504, 520, 524))
    assert not failure.refused_for_now


def test_a_redirect_is_refused_and_names_its_target_without_the_key() -> None:
    failure = refused(307, b"", "", {"location": f"https://elsewhere/v1?k={KEY.reveal()}"})
    assert type(failure) is UpstreamRefused
    assert "https://elsewhere/v1?k=***" in failure.message
    assert "redirects are not followed" in failure.message


@pytest.mark.parametrize("status", [100, 101, 199])
def test_a_status_below_200_is_no_answer(status: int) -> None:
    assert type(refused(status, b"")) is UpstreamInvalidAnswer


@pytest.mark.parametrize(
    ("body", "content_type", "got"),
    [
        (b"<html></html>", "text/html", "an HTML page"),
        (b'{"choices": []}', "text/html; charset=utf-8", "an HTML page"),
        (b"data: {}\n\n", "text/event-stream", "a stream that was not asked for"),
        (b"", "application/json", "an empty body"),
        (b" \n", "application/json", "an empty body"),
        (b"<html>", "application/json", "bytes that are no JSON"),
        (b'{"choices": [}', "application/json", "bytes that are no JSON"),
        (b'{"choices": [], "x": NaN}', "application/json", "bytes that are no JSON"),
        (b"[]", "application/json", "JSON that is no object"),
        (b"{}", "application/json", "JSON without a list of choices"),
        (b'{"choices": null}', "application/json", "JSON without a list of choices"),
        (b'{"choices": ["text"]}', "application/json", "JSON without a list of choices"),
        (b'{"object":"list","data":[]}', "application/json", "JSON without a list of choices"),
    ],
)
def test_a_200_that_is_no_completion_says_what_it_is(
    body: bytes, content_type: str, got: str
) -> None:
    with pytest.raises(UpstreamInvalidAnswer) as invalid:
        completion(answer(200, body, content_type))
    assert invalid.value.message == (
        f"Expected a chat completion from h:443, got {got} (check the endpoint)."
    )
    assert invalid.value.may_have_been_billed


def test_a_compressed_body_that_was_not_asked_for_is_named() -> None:
    lied = answer(200, b'{"choices": []}', "", {"content-encoding": "gzip"})
    assert completion(lied) == {"choices": []}  # says gzip, is none: the bytes decide
    with pytest.raises(UpstreamInvalidAnswer, match="compressed"):
        completion(answer(200, b"\x1f\x8b\x08\x00", "", {"content-encoding": "gzip"}))


@pytest.mark.parametrize("error", [{"message": "overloaded", "code": 502}, "overloaded"])
def test_a_200_that_carries_an_error_is_refused_with_its_text(error: Any) -> None:
    with pytest.raises(UpstreamRefused, match="overloaded") as failure:
        completion(answer(200, {"choices": [], "error": error}))
    assert failure.value.upstream_status == 200
    assert failure.value.may_have_been_billed


def test_null_error_empty_choices_and_unknown_fields_pass() -> None:
    body: dict[str, Any] = {"choices": [], "error": None, "timings": {"n": 1}, "usage": None}
    assert completion(answer(200, body)) == body
    assert completion(answer(200, b'\xef\xbb\xbf{"choices":[]}', "")) == {"choices": []}


ODD_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["error", "message", "detail", "choices", "code", "type", "param", "msg"]
            )
            | st.text(max_size=3),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
BODIES = st.binary(max_size=80) | ODD_JSON.map(lambda value: json.dumps(value).encode())
TYPES = st.sampled_from(["application/json", "text/plain", "text/html", "", ";", "image/png"])


@given(st.integers(100, 999), BODIES, TYPES, st.text(st.characters(codec="ascii"), max_size=12))
def test_any_answer_is_a_completion_or_one_of_the_tree(
    status: int, body: bytes, content_type: str, odd: str
) -> None:
    got = answer(status, body, content_type, {"retry-after": odd, "location": odd})
    if 200 <= status < 300:
        try:
            assert isinstance(completion(got)["choices"], list)
        except (UpstreamInvalidAnswer, UpstreamRefused) as failure:
            message = failure.message
        else:
            return
    else:
        message = refusal(got, model=odd or None, now=NOW).message
    assert message.isprintable()
    assert len(message) < 1600
