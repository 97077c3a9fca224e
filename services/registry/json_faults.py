"""What msgspec finds at fault in a body, as an error of the tree.

Its finding is one sentence in Python's words, of what was expected; what came is looked up in the
body. Of texts only their length or the character at fault is told: they are a client's own.
"""

from __future__ import annotations

import operator
import re
import types
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from enum import Enum
from itertools import islice
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

import msgspec
from msgspec import Meta, Raw

from services.registry.refusals import LONGEST_PATH, shown, unknown_field
from shared.errors import InvalidJson, InvalidValue, UnknownField

_SHALLOW: Final = msgspec.json.Decoder(
    dict[str, Raw] | list[Raw] | str | int | float | bool | None,
)
_PLACE: Final = re.compile(r"(`key` in )?`\$([\w.\[\]]*)`")
# Who is refused must not cost more than who is answered: no larger body is looked at again.
_MOST_READ: Final = 262_144  # bytes
_MOST_TRIED: Final = 100  # members of a mapping
_MOST_LOOKED_AT: Final = 1_000  # characters of a text
_STEP: Final = re.compile(r"\.(\w+)|\[(\d+)\]")
_ENUM: Final = "Invalid enum value "
_LENGTH: Final = re.compile(r"Expected `(object|array|str)` of length (<=|>=) (\d+)")
_BOUND: Final = re.compile(r"Expected `(float|int)` (<=|<|>=|>) (\S+)")
_PATTERN: Final = "Expected `str` matching regex "
_TYPES: Final = re.compile(r"`([a-z]+(?: \| [a-z]+)*)`")
_UNITS: Final[Mapping[str, tuple[type[Any], str]]] = {
    "object": (dict, "member"),
    "array": (list, "item"),
    "str": (str, "character"),
}
_LIMITS: Final[Mapping[str, tuple[str, Callable[[float, float], bool]]]] = {
    "<=": ("at most", operator.le),
    "<": ("less than", operator.lt),
    ">=": ("at least", operator.ge),
    ">": ("more than", operator.gt),
}
_WORDS: Final = {
    "array": "a list",
    "bool": "true or false",
    "float": "a number",
    "int": "a whole number",
    "object": "an object",
    "str": "a string",
}


def refusal(told: str, body: bytes, kind: Any) -> InvalidJson | InvalidValue | UnknownField:
    """The error that stands for this finding in a body that should have been of this type."""
    what, _, where = told.rpartition(" - at ")
    found = _PLACE.fullmatch(where) if what else None
    what, in_key, place = (
        (what, bool(found[1]), found[2]) if found is not None else (told, False, "")
    )
    body = body if len(body) <= _MOST_READ else b""
    mapping, place = place.endswith("[...]"), place.removesuffix("[...]")
    if what.endswith("out of range"):
        path = place.removeprefix(".").partition("[...]")[0]
        told = "Expected a number up to 1e308, got one beyond it."
        return InvalidValue(f"{path}: {told}" if path else told, param=path or None)
    steps = [name or int(number) for name, number in _STEP.findall(place)]
    path, kinds = place.removeprefix("."), _kinds(kind, steps)
    if what.startswith(("Object contains unknown field", "Object missing required field")):
        field = what.partition("`")[2].removesuffix("`")
        path = (f"{path}.{field}" if path else field)[:LONGEST_PATH]
        if what.startswith("Object contains"):
            return UnknownField(unknown_field(path, _names(kinds)), param=path)
        return InvalidValue(f"Expected a value for {path}, got none.", param=path)
    if not path:
        got = _in_json_words(what).rpartition(", got ")[2]
        return InvalidJson(f"Expected a JSON object, got {got}.")
    if in_key or mapping:
        kinds = [get_args(one)[not in_key] for one in _forms(kinds) if get_origin(one) is dict]
        name, value = _misfit(_value(body, steps), kinds, in_key=in_key)
        path = f"{path}.{name}"[:LONGEST_PATH] if mapping and name else path
        expected, got = _told(what, lambda: value, kinds)
    else:
        expected, got = _told(what, lambda: _value(body, steps), kinds)
    expected += " as a name" if in_key else ""
    return InvalidValue(f"{path}: Expected {expected}{f', got {got}' if got else ''}.", param=path)


def _told(what: str, value: Callable[[], Any], kinds: Sequence[Any]) -> tuple[str, str]:
    """What was expected, and what came.

    Nothing of that where it is not found; where a name comes twice, the last is, which may fit.
    """
    if what.startswith(_ENUM):
        word = what.removeprefix(_ENUM)
        came = shown(word[1:-1]) if word.startswith("'") else word
        return f"one of {', '.join(map(str, _choices(kinds)))}", came
    if (length := _LENGTH.fullmatch(what)) is not None:
        limit, (kind, unit), (words, holds) = int(length[3]), _UNITS[length[1]], _LIMITS[length[2]]
        sized = value()
        wrong = isinstance(sized, kind) and not holds(len(sized), limit)
        came = f"{len(sized):,}" if wrong else ""
        return f"{words} {limit:,} {unit}{'' if limit == 1 else 's'}", came
    if (bound := _BOUND.fullmatch(what)) is not None:
        number, (words, holds) = value(), _LIMITS[bound[2]]
        wrong = isinstance(number, int | float) and not holds(number, float(bound[3]))
        came = shown(number).removesuffix(".0") if wrong else ""
        return f"{_WORDS[bound[1]]} of {words} {bound[3].removesuffix('.0')}", came
    for meta in _metas(kinds) if what.startswith(_PATTERN) else ():
        if meta.pattern is not None and meta.extra is not None:
            return meta.extra["expected"], _outside(meta.pattern, value())
    expected, _, came = _in_json_words(what.removeprefix("Expected ")).partition(", got ")
    return expected, came


def _outside(pattern: str, text: Any) -> str:
    """The first character that does not fit: the patterns of this API are of one class each."""
    for place, one in enumerate(text[:_MOST_LOOKED_AT] if isinstance(text, str) else "", 1):
        if re.fullmatch(pattern, one) is None:
            return f"U+{ord(one):04X} as number {place}"
    return ""


def _value(body: bytes, steps: Sequence[str | int]) -> Any:
    """The value at these steps, what is inside it still as JSON.

    None where it cannot be told: behind the fault the body may be no JSON at all.
    """
    try:
        found: Any = _SHALLOW.decode(body)
        for step in steps:
            found = _SHALLOW.decode(found[step])
    except (msgspec.MsgspecError, UnicodeDecodeError, LookupError, TypeError, RecursionError):
        return None
    return found


def _misfit(mapping: Any, kinds: Sequence[Any], *, in_key: bool) -> tuple[str, Any]:
    """The name of the first member that does not fit, and its name or value that does not."""
    members = mapping.items() if isinstance(mapping, dict) else ()
    for name, raw in islice(members, _MOST_TRIED):
        value: Any = name if in_key else None
        try:
            if not in_key:
                value = _SHALLOW.decode(raw)
            msgspec.convert(value, Union[tuple(kinds)])  # noqa: UP007 - of types found just now
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return name, value
    return "", None


def _kinds(kind: Any, steps: Sequence[str | int]) -> list[Any]:
    """The types that a value at these steps may have."""
    kinds = [kind]
    for step in steps:
        kinds = [inner for form in _forms(kinds) for inner in _inner(form, step)]
    return kinds


def _inner(form: Any, step: str | int) -> Iterator[Any]:
    if get_origin(form) is list:
        yield get_args(form)[0]
    elif isinstance(form, type) and issubclass(form, msgspec.Struct):
        yield from (one.type for one in msgspec.structs.fields(form) if one.encode_name == step)


def _forms(kinds: Collection[Any]) -> Iterator[Any]:
    """The types that these stand for, without what only describes or joins them."""
    for kind in kinds:
        if get_origin(kind) is Annotated:
            yield from _forms(get_args(kind)[:1])
        elif get_origin(kind) in (Union, types.UnionType):
            yield from _forms(get_args(kind))
        else:
            yield kind


def _metas(kinds: Collection[Any]) -> Iterator[Meta]:
    for kind in kinds:
        if get_origin(kind) is Annotated:
            yield from (one for one in get_args(kind)[1:] if isinstance(one, Meta))
        elif get_origin(kind) in (Union, types.UnionType):
            yield from _metas(get_args(kind))


def _names(kinds: Collection[Any]) -> list[str]:
    """The fields of these types."""
    structs = [one for one in _forms(kinds) if isinstance(one, type)]
    fields = [one for one in structs if issubclass(one, msgspec.Struct)]
    return [field.encode_name for one in fields for field in msgspec.structs.fields(one)]


def _choices(kinds: Collection[Any]) -> Iterator[Any]:
    for form in _forms(kinds):
        if get_origin(form) is Literal:
            yield from get_args(form)
        elif isinstance(form, type) and issubclass(form, Enum):
            yield from (one.value for one in form)


def _in_json_words(told: str) -> str:
    """Msgspec names types as Python does; whoever wrote the JSON need not know Python."""
    return _TYPES.sub(
        lambda found: " or ".join(_WORDS.get(name, name) for name in found[1].split(" | ")), told
    )
