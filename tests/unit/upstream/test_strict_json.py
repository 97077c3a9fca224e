"""JSON from strangers: what is refused, what is mended, and how deep it may go."""

from __future__ import annotations

import json
import tracemalloc
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared.upstream.strict_json import MAX_DEPTH, NotJson, parse

MIB = 1024 * 1024


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (b' \n{"a": [1, -2.5, true, null, "\\u00e9"]} ', {"a": [1, -2.5, True, None, "é"]}),
        (b"\xef\xbb\xbf{}", {}),
        (b'{"a": 1, "a": 2}', {"a": 2}),
        (b"18446744073709551616", 2**64),
        (b'"\\ud83d\\ude00"', "\U0001f600"),
        (b'"\\u0000a\\u0000"', "\ufffda\ufffd"),
        (b'{"\\u0000": "\\\\u0000"}', {"\ufffd": "\\u0000"}),
        (b'"cut \\ud83d"', "cut \ufffd"),
        (b'{"a": ["\\udc00\\ud83d\\ude00"]}', {"a": ["\ufffd\U0001f600"]}),
        (b'{"\\uD800": "\\u0000"}', {"\ufffd": "\ufffd"}),
        (b'"\\\\ud800"', "\\ud800"),
    ],
)
def test_what_is_read(raw: bytes, value: Any) -> None:
    assert parse(raw) == value


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"{} {}",
        b"{}\x00",
        b"NaN",
        b"[Infinity]",
        b"[-Infinity]",
        b"[1e999]",
        b"9" * 5000,
        b'"\xff"',
        b'"\xed\xa0\x80"',
        b'"raw \x00 nul"',
        b'"raw \n line"',
        b'{"a": "\\ud800", "b": NaN}',
        b'{"a": "\\ud800", "b": 1e999}',
        b'{"a": "\\ud800", "b": ' + b"9" * 5000 + b"}",
        b'["\\ud800", "\xff"]',
        b'["\\ud800"',
    ],
)
def test_what_is_refused(raw: bytes) -> None:
    with pytest.raises(NotJson):
        parse(raw)


@pytest.mark.parametrize("lone", [b"", b'"\\ud800",'])
@pytest.mark.parametrize(("opened", "closed"), [(b"[", b"]"), (b'{"a":', b"}")])
def test_depth_is_bounded_exactly(opened: bytes, closed: bytes, lone: bytes) -> None:
    def nested(depth: int) -> bytes:
        inner = opened * (depth - 1) + b"1" + closed * (depth - 1)
        return b"[" + lone + inner + b"]"

    parse(nested(MAX_DEPTH))
    for depth in (MAX_DEPTH + 1, 900, 100_000):
        with pytest.raises(NotJson, match="deep"):
            parse(nested(depth))


def test_wide_is_not_deep() -> None:
    assert len(parse(b"[" + b"[]," * 1000 + b"[]]")) == 1001


@pytest.mark.parametrize("unit", [b"[],", b"{},", b"1.5,", b'"ab",', b'"abcdef",'])
def test_a_small_body_cannot_become_a_large_value(unit: bytes) -> None:
    raw = b"[" + unit * (8 * MIB // len(unit)) + b"1]"
    with pytest.raises(NotJson, match="more values"):
        parse(raw)


@pytest.mark.parametrize(
    "raw",
    [
        b"[" + b'"x",1,' * 499_000 + b"1]",
        b"{" + b",".join(b'"%x":0' % number for number in range(499_000)) + b"}",
        '"😀'.encode() + b"x" * (8 * MIB - 6) + b'"',
    ],
    ids=["texts", "keys", "a wide text"],
)
def test_the_largest_values_that_are_read_take_less_than_64_mib(raw: bytes) -> None:
    assert len(raw) <= 8 * MIB
    tracemalloc.start()
    try:
        parse(raw)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 64 * MIB


def test_an_answer_with_20_log_probabilities_for_each_of_4096_tokens_is_read() -> None:
    other = b'{"token":" the","logprob":-0.5,"bytes":[32,116,104,101]}'
    token = b'{"token":"a","logprob":-1.25,"top_logprobs":[' + b",".join([other] * 20) + b"]}"
    raw = b'{"choices":[{"logprobs":{"content":[' + b",".join([token] * 4096) + b"]}}]}"
    assert len(raw) < 8 * MIB
    assert len(parse(raw)["choices"][0]["logprobs"]["content"]) == 4096


@given(st.binary(max_size=60) | st.text(max_size=60).map(lambda t: t.encode("utf-8", "replace")))
@example(b'"\\ud800')
def test_any_bytes_are_read_or_refused(raw: bytes) -> None:
    try:
        value = parse(raw)
    except NotJson:
        return
    json.dumps(value, allow_nan=False, ensure_ascii=False).encode("utf-8")


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**63), 2**64) | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=20,
    ),
    st.booleans(),
)
def test_what_json_writes_is_read_back_scrubbed(value: Any, ascii_only: bool) -> None:
    assert parse(json.dumps(value, ensure_ascii=ascii_only).encode()) == _scrubbed(value)


def _scrubbed(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace("\x00", "\ufffd")
    if isinstance(value, list):
        return [_scrubbed(item) for item in value]
    if isinstance(value, dict):
        return {_scrubbed(key): _scrubbed(item) for key, item in value.items()}
    return value


def test_a_model_list_may_have_half_the_values_of_a_completion() -> None:
    half, more = b"[" + b'"ab",' * 249_999 + b'"ab"]', b"[" + b'"ab",' * 250_000 + b'"ab"]'
    assert len(parse(half, share=0.5)) == 250_000
    parse(more)
    with pytest.raises(NotJson, match="more values"):
        parse(more, share=0.5)
