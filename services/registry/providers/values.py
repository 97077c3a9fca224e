"""The values of a provider's fields: what each may hold, and its one spelling."""

from __future__ import annotations

import re
import unicodedata
from typing import Any, Final

import marshmallow as ma
from cryptography import x509
from marshmallow import fields

from services.registry.refusals import shown
from services.registry.schemas import Text

OWNER: Final = "[a-z0-9][a-z0-9._@-]{0,63}"
MOST_OWNERS: Final = 100
LONGEST_NAME: Final = 100
# Letters and signs by their Unicode category, and yet nothing is seen of them.
_UNSEEN: Final = frozenset("\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_VISIBILITIES: Final = ("everyone", "admins")


class Name(Text):
    """1 to 100 characters that people can see, in Unicode's composed form without outer spaces."""

    def __init__(self, **options: Any) -> None:
        bounds = {"minLength": 1, "maxLength": LONGEST_NAME}
        about = {"description": "for people; unique without regard to case"}
        super().__init__(metadata={**bounds, **about, "example": "vLLM Llama 3"}, **options)

    def _deserialize(self, *args: Any, **kwargs: Any) -> Any:
        name = unicodedata.normalize("NFC", super()._deserialize(*args, **kwargs).strip())
        if not 1 <= len(name) <= LONGEST_NAME:
            raise ma.ValidationError(
                f"Expected 1 to {LONGEST_NAME} printable characters, got {len(name)}."
            )
        printable(name)
        if unicodedata.category(name[0]).startswith("M"):
            raise ma.ValidationError(
                f"Expected a name that begins with a character of its own, got {shown(name[0])}, "
                "which only combines with another."
            )
        return name


class Tag(Text):
    """1 to 64 printable characters, in Unicode's composed form."""

    def __init__(self, **options: Any) -> None:
        super().__init__(
            pattern=r"[^\x00-\x20\x7f,]{1,64}",
            expected="1 to 64 printable characters without spaces and commas",
            validate=printable,
            **options,
        )

    def _deserialize(self, *args: Any, **kwargs: Any) -> Any:
        return unicodedata.normalize("NFC", super()._deserialize(*args, **kwargs))


class Visibility(fields.Field[Any]):
    """`"everyone"`, `"admins"`, or the owners that may know of the provider."""

    def __init__(self, *, or_null: bool = False, **options: Any) -> None:
        owners = {"type": "string", "pattern": f"^{OWNER}$"}
        several = {"type": "array", "items": owners, "minItems": 1, "maxItems": MOST_OWNERS}
        forms: list[Any] = [{"type": "string", "enum": list(_VISIBILITIES)}, several]
        about = {"description": "who may know of it: everybody, admins, or these owners"}
        alternatives = forms + [{"type": "null"}] * or_null
        super().__init__(metadata={**about, "oneOf": alternatives}, **options)

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> Any:
        if isinstance(value, str) and value in _VISIBILITIES:
            return value
        if not isinstance(value, list) or not 1 <= len(value) <= MOST_OWNERS:
            raise ma.ValidationError(
                f'Expected "everyone", "admins" or a list of 1 to {MOST_OWNERS} owners, '
                f"got {shown(value)}."
            )
        for place, owner in enumerate(value):
            if not isinstance(owner, str) or re.fullmatch(OWNER, owner) is None:
                said = "Expected an owner: 1 to 64 of a-z, 0-9 and ._@-, a letter or digit first"
                raise ma.ValidationError({place: [f"{said}, got {shown(owner)}."]})
        return list(dict.fromkeys(value))


def printable(text: str) -> None:
    """Refuse what cannot be seen, or changes how the text around it is read (bidi controls)."""
    for place, character in enumerate(text, 1):
        if not character.isprintable() or character in _UNSEEN:
            raise ma.ValidationError(
                f"Expected printable characters, got U+{ord(character):04X} as number {place}. "
                "Remove it."
            )


def prose(text: str) -> None:
    """Refuse control characters: a terminal that shows the text would obey them."""
    found = _CONTROL.search(text)
    if found is not None:
        raise ma.ValidationError(
            "Expected text without control characters but line breaks and tabs, "
            f"got U+{ord(found[0]):04X}. Remove it."
        )


def certificates(text: str) -> None:
    """Refuse what is no PEM of certificates, and a private key beside them: it would be shown."""
    if "PRIVATE KEY-----" in text:
        raise ma.ValidationError(
            "Expected certificates only, got a private key too. Remove it, and treat it as known."
        )
    try:
        x509.load_pem_x509_certificates(text.encode())
    except ValueError:
        raise ma.ValidationError(
            "Expected certificates in PEM form (-----BEGIN CERTIFICATE-----), got something else."
        ) from None
