"""Ids sort by time; the error tree is whole."""

from __future__ import annotations

import pytest

from shared import errors, ids
from shared.errors import JOB_FAILURES, REQUEST_ERRORS, failure_status


def test_ids_grow_strictly_also_within_a_millisecond() -> None:
    made = [ids.new(ids.COMPLETION) for _ in range(5_000)]
    assert made == sorted(set(made))


@pytest.mark.parametrize("text", ["", "chatcmpl-", "chatcmpl-x", "prov_", "chatcmpl-" + "Z" * 26])
def test_what_is_no_id_is_told_apart(text: str) -> None:
    assert ids.bare(ids.COMPLETION, text) is None


def test_an_id_gives_its_ulid_back() -> None:
    made = ids.new(ids.COMPLETION)
    assert ids.bare(ids.COMPLETION, made) == made.removeprefix("chatcmpl-")


def test_every_code_is_unique_and_every_leaf_carries_one() -> None:
    leaves = [c for c in descendants(errors.CodedError) if not c.__subclasses__()]
    codes = [leaf.code for leaf in leaves]
    assert sorted(codes) == sorted({*REQUEST_ERRORS, *JOB_FAILURES})


def descendants(root: type[errors.CodedError]) -> list[type[errors.CodedError]]:
    children = root.__subclasses__()
    return children + [found for child in children for found in descendants(child)]


def test_failures_without_a_call_have_a_sentence_of_their_own() -> None:
    for code in ("deadline_exceeded", "interrupted", "poisoned", "provider_deleted", "cancelled"):
        failure = JOB_FAILURES[code]()  # type: ignore[call-arg]
        assert failure.document()["message"].endswith(".")  # type: ignore[attr-defined]


def test_a_refusal_passes_its_own_status_on_and_any_other_status_becomes_502() -> None:
    for upstream_status, status in ((422, 422), (400, 400), (409, 502), (None, 502)):
        failure = errors.UpstreamRefused("no", sent=True, upstream_status=upstream_status)
        assert failure_status(failure.document()) == status
