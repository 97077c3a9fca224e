"""What programs tell a provider's errors apart by reaches the caller, and no more than that."""

from __future__ import annotations

from typing import Any

import pytest

from shared.errors import UpstreamRefused
from shared.telemetry import Secret
from shared.upstream.answers import completion
from shared.upstream.upstream_text import marks_of
from tests.unit.upstream.test_answers import KEY, answer, refused

OPENAIS = {"type": "invalid_request_error", "code": "context_length_exceeded", "param": "messages"}


@pytest.mark.parametrize("status", [400, 401, 404, 429, 500, 503])
def test_type_code_and_param_of_a_refusal_are_kept(status: int) -> None:
    failure = refused(status, {"error": {"message": "Too long.", **OPENAIS}})
    assert failure.document()["upstream_error"] == OPENAIS
    assert failure.code != OPENAIS["code"]  # ours stays what the contract lists


def test_so_are_those_of_an_error_in_a_good_status() -> None:
    with pytest.raises(UpstreamRefused) as failure:
        completion(answer(200, {"error": {"message": "Too long.", **OPENAIS}}))
    assert failure.value.document()["upstream_error"] == OPENAIS


@pytest.mark.parametrize(
    ("error", "kept"),
    [
        ({"code": 400, "type": None, "param": ""}, {"code": 400}),
        ({"code": True, "type": ["a"], "param": {"a": 1}}, None),
        ({"code": 2**60, "type": 0.5}, None),
        ({"code": f"bad_{KEY.reveal()}"}, {"code": "bad_***"}),
        ({"code": "<script>x</script>", "type": "a\r\nb"}, {"type": "a b"}),
        ({"other": "x", "message": "m"}, None),
    ],
    ids=str,
)
def test_only_short_texts_and_numbers_are_kept_and_no_key(error: Any, kept: Any) -> None:
    assert refused(400, {"error": error}).document().get("upstream_error") == kept


def test_a_key_that_is_a_number_is_starred_too() -> None:
    assert marks_of({"code": 1234567890}, Secret("1234567890")) == {"code": "***"}


def test_a_long_mark_is_cut_and_older_vllms_flat_error_is_read_too() -> None:
    flat = {"object": "error", "message": "m", "type": "BadRequestError", "code": 400}
    marks = {"type": "BadRequestError", "code": 400}
    assert refused(400, flat).document()["upstream_error"] == marks
    marks = refused(400, {"error": {"code": "x" * 100_000}}).document()["upstream_error"]
    assert len(marks["code"]) <= 500


def test_an_answer_without_an_error_object_has_none() -> None:
    assert "upstream_error" not in refused(500, b"oops", "text/plain").document()
