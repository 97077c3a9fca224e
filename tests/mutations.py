"""Valid messages broken a little: bytes cut, doubled, swapped and sprinkled with trouble; JSON with
its values replaced, removed and renamed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

# What parsers of strangers' texts stumble over.
TROUBLE = (
    *(b"\x00", b"\r", b"\n", b"\r\n", b"\n\n", b"\xef\xbb\xbf", b"\xff\xfe", b"\xc3", b"\xf0\x9f"),
    *(b'"', b"{", b"}", b"[", b"]", b",", b":", b"\\", b"\\u0000", b"\\ud800", b"null", b"NaN"),
    *(b"1e999", b"-", b"9" * 400, b"[" * 200, b'{"a":' * 100, b"data:", b"data: ", b"event: error"),
    *(b": ping\n", b"id: 7\n", b"retry: 1\n", b"[DONE]", b'"error":', b'"choices":', b'"index":'),
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-2, 2)
    | st.sampled_from([2**63, -(2**63), 1e308, "", "\x00", "\u202e", "a" * 600, "function"])
    | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "name", "role", "content", "index", "id"])
            | st.text(max_size=3),
            inner,
            max_size=3,
        )
    ),
    max_leaves=6,
)


@st.composite
def broken(draw: st.DrawFn, samples: Sequence[bytes], most: int = 6) -> bytes:
    """One of the samples after up to `most` mutations."""
    raw = draw(st.sampled_from(samples))
    for _ in range(draw(st.integers(0, most))):
        begin = draw(st.integers(0, len(raw)))
        end = min(len(raw), begin + draw(st.integers(0, 40)))
        match draw(
            st.sampled_from(["cut", "double", "trouble", "replace", "flip", "graft", "end"])
        ):
            case "cut":
                raw = raw[:begin] + raw[end:]
            case "double":
                raw = raw[:end] + raw[begin:]
            case "trouble":
                raw = raw[:begin] + draw(st.sampled_from(TROUBLE)) + raw[begin:]
            case "replace":
                raw = raw[:begin] + draw(st.sampled_from(TROUBLE)) + raw[end:]
            case "flip" if begin < len(raw):
                raw = (
                    raw[:begin]
                    + bytes((raw[begin] ^ draw(st.integers(1, 255)),))
                    + raw[begin + 1 :]
                )
            case "graft":
                other = draw(st.sampled_from(samples))
                place = draw(st.integers(0, len(other)))
                raw = raw[:begin] + other[place : place + 200] + raw[end:]
            case "end":
                raw = raw[:begin]
    return raw


@st.composite
def altered(draw: st.DrawFn, documents: Sequence[Any], most: int = 4) -> Any:
    """One of these JSON documents with up to `most` of its places altered."""
    document = draw(st.sampled_from(documents))
    for _ in range(draw(st.integers(0, most))):
        paths = list(_paths(document))
        document = _with(document, draw(st.sampled_from(paths)), draw)
    return document


def _paths(value: Any, path: tuple[Any, ...] = ()) -> Any:
    yield path
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _paths(inner, (*path, name))
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            yield from _paths(inner, (*path, place))


def _with(value: Any, path: tuple[Any, ...], draw: st.DrawFn) -> Any:
    if not path:
        if isinstance(value, dict) and draw(st.booleans()):
            return {
                **value,
                draw(st.text(max_size=3) | st.sampled_from(sorted(value) or ["a"])): draw(VALUES),
            }
        return draw(VALUES)
    step, rest = path[0], path[1:]
    if isinstance(value, dict):
        if not rest and draw(st.integers(0, 3)) == 0:
            return {name: inner for name, inner in value.items() if name != step}
        return {**value, step: _with(value[step], rest, draw)}
    copy = list(value)
    copy[step] = _with(value[step], rest, draw)
    return copy + copy[:1] if draw(st.integers(0, 9)) == 0 else copy
