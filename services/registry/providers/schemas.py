"""What a request about providers may hold."""

from __future__ import annotations

import re
import unicodedata
from typing import Any

import marshmallow as ma
from cryptography import x509
from marshmallow import fields, post_load, validate

from services.registry.paging import PageQuery
from services.registry.providers import slugs
from services.registry.schemas import Flag, Seconds, Strict, Text, Whole
from shared import ids
from shared.domain import DiscoveryStatus

API_KEY = r"[\x21-\x7e]{1,512}"
OWNER = "[a-z0-9][a-z0-9._@-]{0,63}"
MOST_MODELS = 1_000
MOST_GLOBS = 100


def _name(text: str) -> None:
    if not 1 <= len(text.strip()) <= 100 or not text.strip().isprintable():
        raise ma.ValidationError("Expected 1 to 100 printable characters.")


def _slug(text: str) -> None:
    if text in slugs.RESERVED:
        raise ma.ValidationError(f"Expected a slug that is not reserved, got {text!r}.")


def _pem(text: str) -> None:
    try:
        x509.load_pem_x509_certificates(text.encode())
    except ValueError:
        raise ma.ValidationError("Expected certificates in PEM form.") from None


def _visibility(value: Any) -> None:
    if isinstance(value, list):
        right = 1 <= len(value) <= 100 and all(
            isinstance(owner, str) and re.fullmatch(OWNER, owner) for owner in value
        )
    else:
        right = value in ("everyone", "admins")
    if not right:
        raise ma.ValidationError('Expected "everyone", "admins" or a list of 1 to 100 owners.')


def _model_ids() -> Text:
    return Text(pattern=r"[^\x00-\x1f\x7f]{1,256}", expected="1 to 256 printable characters")


class Options(Strict):
    """How a provider is called. Durations in seconds."""

    max_concurrency = Whole(
        1,
        100_000,
        allow_none=True,
        load_default=None,
        metadata={"description": "calls under way at most, across all workers; null: no limit"},
    )
    connect_timeout = Seconds(0.1, 60, load_default=5)
    first_byte_timeout = Seconds(0.1, 3_600, load_default=120)
    idle_timeout = Seconds(0.1, 3_600, load_default=60)
    total_timeout = Seconds(0.1, 86_400, load_default=600)
    verify_tls = Flag(load_default=True)
    ca_certificate = Text(
        allow_none=True,
        load_default=None,
        validate=[validate.Length(1, 65_536, error="Expected at most 65,536 characters."), _pem],
        metadata={"description": "PEM of the authorities to trust instead of the system's"},
    )
    models = fields.List(
        _model_ids(),
        load_default=list,
        validate=validate.Length(max=MOST_MODELS, error=f"Expected at most {MOST_MODELS} ids."),
        metadata={"description": "model ids listed by hand"},
        error_messages={"invalid": "Expected a list of model ids."},
    )
    allow_models = fields.List(
        _model_ids(),
        allow_none=True,
        load_default=None,
        validate=validate.Length(max=MOST_GLOBS, error=f"Expected at most {MOST_GLOBS} patterns."),
        metadata={"description": "glob patterns of the model ids to offer; null: all"},
        error_messages={"invalid": "Expected a list of glob patterns, or null."},
    )


class NewProvider(Strict):
    """The body of `POST /v1/providers`."""

    name = Text(required=True, validate=_name, metadata={"example": "vLLM Llama 3"})
    slug = Text(
        pattern=slugs.PATTERN,
        expected="1 to 63 of a-z, 0-9 and hyphen, no hyphen first",
        validate=_slug,
        metadata={"description": "derived from the name unless given; cannot be changed"},
    )
    endpoint = Text(
        required=True,
        metadata={
            "description": "any spelling of the server: host:port, base or chat URL",
            "example": "https://my-server.example.com/v1/chat/completions",
        },
    )
    api_key = Text(
        allow_none=True,
        load_default=None,
        pattern=API_KEY,
        expected="1 to 512 visible ASCII characters without spaces",
        metadata={"writeOnly": True, "description": "sealed at once, never shown again"},
    )
    description = Text(
        load_default="",
        validate=validate.Length(max=2_000, error="Expected at most 2,000 characters."),
    )
    tags = fields.List(
        Text(
            pattern=r"[^\x00-\x20\x7f,]{1,64}",
            expected="1 to 64 characters without spaces and commas",
        ),
        load_default=list,
        validate=validate.Length(max=32, error="Expected at most 32 tags."),
        error_messages={"invalid": "Expected a list of tags."},
    )
    visibility = fields.Raw(
        load_default="everyone",
        validate=_visibility,
        metadata={
            "oneOf": [
                {"type": "string", "enum": ["everyone", "admins"]},
                {"type": "array", "items": {"type": "string", "pattern": f"^{OWNER}$"}},
            ]
        },
    )
    enabled = Flag(load_default=True)
    options = fields.Nested(Options, load_default=lambda: Options().load({}))

    @post_load
    def normalise(self, data: dict[str, Any], **_: Any) -> dict[str, Any]:
        """One spelling for names that look the same; tags once each."""
        data["name"] = unicodedata.normalize("NFC", data["name"].strip())
        data["tags"] = list(dict.fromkeys(data["tags"]))
        return data


class ProviderQuery(PageQuery):
    """The query of `GET /v1/providers`."""

    after = Text(
        pattern=f"{ids.PROVIDER}[0-9A-Z]{{26}}",
        expected="the id of a provider",
        metadata={"description": "the id after which the page begins"},
    )
    tag = Text(metadata={"description": "only providers with this tag"})
    status = Text(
        validate=validate.OneOf(
            [status.value for status in DiscoveryStatus],
            error="Expected one of {choices}.",
        ),
        metadata={"description": "only providers whose discovery shows this"},
    )
    q = Text(metadata={"description": "only providers whose name, slug or endpoint holds this"})
