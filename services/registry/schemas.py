"""Fields and schemas that take JSON strictly: no number from a string, no flag from a word."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any, ClassVar, Final, cast

import marshmallow as ma
from marshmallow import fields, post_load, validate

from services.registry.refusals import shown

YEAR_2100: Final = 4_102_444_800  # Unix seconds; a time in milliseconds lies beyond


class Unknown(str):
    """The message about a field that its schema does not have, with the names of those it has."""

    known: Collection[str]

    @classmethod
    def beside(cls, known: Collection[str]) -> Unknown:
        """The message of a schema with these fields."""
        message = cls("Expected only documented fields.")
        message.known = known
        return message


class Strict(ma.Schema):
    """A schema that refuses unknown fields, and says what it expected."""

    class Meta:
        """marshmallow's options."""

        unknown = ma.RAISE

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        names = [field.data_key or name for name, field in self.load_fields.items()]
        self.error_messages["unknown"] = Unknown.beside(names)

    def on_bind_field(self, field_name: str, field_obj: fields.Field[Any]) -> None:
        """Put our sentences in the place of marshmallow's."""
        del field_name
        field_obj.error_messages["required"] = "Expected a value, got none."
        field_obj.error_messages["null"] = "Expected a value, got null."


class Patch(Strict):
    """A merge patch (RFC 7396): what is left out stays, null stands for the default."""

    resets: ClassVar[Mapping[str, Callable[[], Any]]] = {}

    @post_load
    def reset(self, data: dict[str, Any], **_: Any) -> dict[str, Any]:
        """Defaults in the place of nulls."""
        return {n: self.resets[n]() if value is None else value for n, value in data.items()}


def patch_of(schema: type[Strict], name: str, **replacing: fields.Field[Any]) -> type[Patch]:
    """The merge patch of what `schema` describes; fields without a default take no null."""
    made: dict[str, fields.Field[Any]] = {}
    resets: dict[str, Callable[[], Any]] = {}
    for member, field in schema._declared_fields.items():
        made[member] = patched = copy.copy(replacing.get(member, field))
        patched.required, patched.load_default = False, ma.missing
        patched.allow_none = field.load_default is not ma.missing
        resets[member] = (
            field.load_default if callable(field.load_default) else _always(field.load_default)
        )
    return cast(type[Patch], type(name, (Patch,), {**made, "resets": resets}))


def _always(value: Any) -> Callable[[], Any]:
    return lambda: value


class Telling(fields.Field[Any]):
    """A field that says what it expected and what came; of a write-only one, only the former."""

    expected: str

    def make_error(self, key: str, **details: Any) -> ma.ValidationError:
        """In the same words what marshmallow itself finds about a value."""
        if "input" in details:
            return self.refusal(details["input"])
        return super().make_error(key, **details)

    def refusal(self, value: Any) -> ma.ValidationError:
        """The refusal of this value."""
        return ma.ValidationError(f"Expected {self.expected}, got {self.got(value)}.")

    def got(self, value: Any) -> str:
        """The value as a message may repeat it."""
        return "something else" if self.metadata.get("writeOnly") else shown(value)


class Text(Telling, fields.String):
    """A string without NUL, which PostgreSQL cannot store; all of it fits `pattern`."""

    expected = "a string"

    def __init__(self, *, pattern: str | None = None, expected: str = "", **options: Any) -> None:
        if pattern is not None:
            options["metadata"] = {**options.get("metadata", {}), "pattern": f"^{pattern}$"}
        super().__init__(**options)
        if pattern is not None:
            self.validators.append(_fits(re.compile(pattern), expected, self.got))

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> Any:
        if not isinstance(value, str):
            raise self.refusal(value)
        if "\x00" in value:
            place = value.index("\x00") + 1
            raise ma.ValidationError(f"Expected a string without NUL, got it as number {place}.")
        return super()._deserialize(value, *args, **kwargs)


def _fits(
    pattern: re.Pattern[str], expected: str, got: Callable[[Any], str]
) -> Callable[[str], None]:
    def check(text: str) -> None:
        # fullmatch: `$` would let a newline pass at the end.
        if pattern.fullmatch(text) is None:
            raise ma.ValidationError(f"Expected {expected}, got {got(text)}.")

    return check


class OneOf(validate.OneOf):
    """One of a few words; the refusal names them all."""

    def _format_error(self, value: Any) -> str:
        return f"Expected one of {self.choices_text}, got {shown(value)}."


class AtMost(validate.Length):
    """So many of something, and no more."""

    def __init__(self, most: int, what: str = "characters") -> None:
        super().__init__(max=most)
        self._expected = f"at most {most:,} {what}"

    def _format_error(self, value: Any, message: str) -> str:
        return f"Expected {self._expected}, got {len(value):,}."


class _Within(validate.Range):
    """The bounds of a number."""

    def __init__(self, low: float, high: float, expected: str) -> None:
        super().__init__(low, high)
        self._expected = expected

    def _format_error(self, value: Any, message: str) -> str:
        return f"Expected {self._expected}, got {shown(value)}."


class Truth(Telling, fields.Boolean):
    """true or false, as a query has it."""

    expected = "true or false"


class Flag(Truth):
    """true or false, as JSON has it."""

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> Any:
        if not isinstance(value, bool):
            raise self.refusal(value)
        return value


class Whole(Telling, fields.Integer):
    """A whole number; given as a number, unless it comes in a query."""

    def __init__(
        self, low: int, high: int, *, expected: str = "", in_query: bool = False, **options: Any
    ) -> None:
        self.expected = expected or f"a whole number from {low} to {high}"
        bounds = _Within(low, high, self.expected)
        super().__init__(strict=not in_query, validate=bounds, **options)


class Moment(Whole):
    """A time of a query."""

    def __init__(self, **options: Any) -> None:
        expected = "a time in Unix seconds before the year 2100"
        super().__init__(0, YEAR_2100, expected=expected, in_query=True, **options)


class Seconds(Telling, fields.Float):
    """A duration in seconds, given as a number."""

    def __init__(self, low: float, high: float, **options: Any) -> None:
        self.expected = f"a number of seconds from {low:g} to {high:g}"
        super().__init__(validate=_Within(low, high, self.expected), **options)

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.refusal(value)
        return value


class Inner(Telling, fields.Nested):
    """An object of its own schema."""

    expected = "an object"

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> Any:
        if not isinstance(value, dict):
            raise self.refusal(value)
        return super()._deserialize(value, *args, **kwargs)


class Distinct(Telling, fields.List[Any]):
    """A list in which an entry that comes again is dropped."""

    def __init__(self, inner: fields.Field[Any], *, expected: str, **options: Any) -> None:
        self.expected = expected
        super().__init__(inner, **options)

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> Any:
        if not isinstance(value, list):
            raise self.refusal(value)
        return list(dict.fromkeys(super()._deserialize(value, *args, **kwargs)))
