"""Fields and schemas that take JSON strictly: no number from a string, no flag from a word."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Final, cast

import marshmallow as ma
from marshmallow import fields, post_load, validate

MOST_SHOWN: Final = 60  # characters of a refused value


class _Unknown(str):
    """The message about an unknown field, recognised by identity."""

    __slots__ = ()


UNKNOWN: Final = _Unknown("Expected only documented fields.")


class Strict(ma.Schema):
    """A schema that refuses unknown fields, and says what it expected."""

    error_messages = {  # noqa: RUF012 - marshmallow's way
        "unknown": UNKNOWN,
        "type": "Expected an object.",
    }

    class Meta:
        """marshmallow's options."""

        unknown = ma.RAISE

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


class Text(fields.String):
    """A string without NUL, which PostgreSQL cannot store; all of it fits `pattern`."""

    default_error_messages = {"invalid": "Expected a string."}  # noqa: RUF012

    def __init__(self, *, pattern: str | None = None, expected: str = "", **options: Any) -> None:
        if pattern is not None:
            options["metadata"] = {**options.get("metadata", {}), "pattern": f"^{pattern}$"}
        super().__init__(**options)
        if pattern is not None:
            self.validators.append(_fits(re.compile(pattern), expected))

    def _deserialize(self, *args: Any, **kwargs: Any) -> Any:
        text = super()._deserialize(*args, **kwargs)
        if "\x00" in text:
            raise ma.ValidationError("Expected a string without NUL.")
        return text


def _fits(pattern: re.Pattern[str], expected: str) -> Callable[[str], None]:
    def check(text: str) -> None:
        # fullmatch: `$` would let a newline pass at the end.
        if pattern.fullmatch(text) is None:
            raise ma.ValidationError(f"Expected {expected}.")

    return check


class OneOf(validate.OneOf):
    """One of a few words; the refusal names them all."""

    def _format_error(self, value: Any) -> str:
        return f"Expected one of {self.choices_text}, got {shown(value)}."


def shown(value: Any) -> str:
    """A value as a message quotes it, cut to a length that people read."""
    text = repr(value)
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}…"


class Flag(fields.Boolean):
    """true or false."""

    default_error_messages = {"invalid": "Expected true or false."}  # noqa: RUF012

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> Any:
        if not isinstance(value, bool):
            raise self.make_error("invalid", input=value)
        return value


class Whole(fields.Integer):
    """A whole number, given as a number."""

    def __init__(self, low: int, high: int, **options: Any) -> None:
        sentence = f"Expected a whole number from {low} to {high}."
        super().__init__(
            strict=True,
            validate=validate.Range(low, high, error=sentence),
            error_messages={"invalid": sentence, "too_large": sentence},
            **options,
        )


class Seconds(fields.Float):
    """A duration in seconds, given as a number."""

    def __init__(self, low: float, high: float, **options: Any) -> None:
        sentence = f"Expected a number of seconds from {low:g} to {high:g}."
        super().__init__(
            validate=validate.Range(low, high, error=sentence),
            error_messages={"invalid": sentence, "special": sentence, "too_large": sentence},
            **options,
        )

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.make_error("invalid", input=value)
        return value
