"""Every shape of a model list, and lists from hell."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.upstream.model_list import MAX_ENTRIES, MAX_ID, NotAModelList, models


def ids(document: Any) -> list[str]:
    return [model.id for model in models(document).models]


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"object": "list", "data": [{"id": "a"}, {"id": "b/c:d"}]}, ["a", "b/c:d"]),
        ([{"id": "a", "context_length": 8}], ["a"]),
        (["a", "b"], ["a", "b"]),
        ({"data": None}, []),
        ({"data": []}, []),
        ({"models": [{"name": "a"}, {"model": "b"}]}, ["a", "b"]),
        ({"data": [{"id": "a"}], "models": [{"name": "z"}]}, ["a"]),
        ({"data": None, "models": ["a"]}, ["a"]),
        ({"data": [{"id": "", "name": "a"}]}, ["a"]),
        ({"data": [{"id": "../x"}, {"id": "<b>"}]}, ["../x", "<b>"]),
    ],
)
def test_every_known_shape_is_read(document: Any, expected: list[str]) -> None:
    assert ids(document) == expected


@pytest.mark.parametrize(
    "document",
    [None, 1, "a", {}, {"data": {"id": "a"}}, {"data": "a"}, {"models": None}, {"detail": "x"}],
)
def test_other_shapes_are_refused(document: Any) -> None:
    with pytest.raises(NotAModelList):
        models(document)


def test_unusable_and_duplicate_entries_are_dropped_and_counted() -> None:
    entries = [
        {"id": "a"},
        {"id": "a", "created": 9},
        {"id": "x" * (MAX_ID + 1)},
        {"id": "y" * MAX_ID},
        {"id": "line\nbreak"},
        {"id": 7},
        {},
        None,
        ["a"],
        "b",
        "",
        "   ",
    ]
    found = models({"data": entries})
    assert [model.id for model in found.models] == ["a", "y" * MAX_ID, "b"]
    assert found.models[0].created is None  # the first of two wins
    assert found.dropped == 9


@pytest.mark.parametrize(
    "name",
    ["a\x00b", "a\ufffdb", "a\x1b[31mb", "a\u202eb", "a\u200bb", "a\u2028b", "\u00a0"],
)
def test_ids_that_hide_something_are_dropped(name: str) -> None:
    assert ids([{"id": name}, {"id": "good"}]) == ["good"]


def test_a_million_models_are_cut_at_the_limit() -> None:
    found = models([str(number) for number in range(MAX_ENTRIES + 7)])
    assert (len(found.models), found.dropped) == (MAX_ENTRIES, 7)
    assert found.models[-1].id == str(MAX_ENTRIES - 1)


@pytest.mark.parametrize(
    ("entry", "length"),
    [
        ({"max_model_len": 1, "context_length": 2}, 1),
        ({"context_length": 2, "context_window": 3}, 2),
        ({"context_window": 3}, 3),
        ({"max_context_length": 4}, 4),
        ({"meta": {"n_ctx": 5, "n_ctx_train": 6}}, 5),
        ({"meta": {"n_ctx": 0, "n_ctx_train": 6}}, 6),
        ({"meta": None, "context_length": 131072.0}, 131072),
        ({"max_model_len": None, "meta": []}, None),
        ({"context_length": "4096"}, None),
        ({"context_length": True}, None),
        ({"context_length": -1}, None),
        ({"context_length": 2**70}, None),
    ],
)
def test_context_length_comes_from_the_first_field_that_has_one(
    entry: dict[str, Any], length: int | None
) -> None:
    (model,) = models([{"id": "a", **entry}]).models
    assert model.context_length == length


@pytest.mark.parametrize(
    ("created", "expected"),
    [(0, 0), (1677610602, 1677610602), (1.5e9, 1500000000), (None, None), ("x", None), (-1, None)],
)
def test_created_may_be_zero_missing_or_wrong(created: Any, expected: int | None) -> None:
    (model,) = models([{"id": "a", "created": created, "owned_by": 3}]).models
    assert (model.created, model.owned_by) == (expected, None)


def test_the_raw_entry_is_kept() -> None:
    entry = {"id": "a", "pricing": {"prompt": "0.1"}, "owned_by": "o" * 300}
    (model,) = models([entry]).models
    assert model.raw == entry
    assert model.owned_by == "o" * MAX_ID


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["data", "models", "id", "name", "model", "created", "owned_by", "meta"]
            )
            | st.sampled_from(["n_ctx", "context_length", "max_model_len", "error"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(JSON)
def test_any_json_is_a_list_or_refused(document: Any) -> None:
    try:
        found = models(document)
    except NotAModelList:
        return
    assert len({model.id for model in found.models}) == len(found.models) <= MAX_ENTRIES
    assert all(0 < len(model.id) <= MAX_ID for model in found.models)
