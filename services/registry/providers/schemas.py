"""What a request about providers may hold."""

from __future__ import annotations

from typing import Any

import marshmallow as ma
from marshmallow import fields

from services.registry.paging import PageQuery
from services.registry.providers import slugs
from services.registry.providers.values import (
    Name,
    Tag,
    Visibility,
    certificates,
    prose,
)
from services.registry.schemas import (
    AtMost,
    Distinct,
    Flag,
    Inner,
    OneOf,
    Seconds,
    Strict,
    Text,
    Whole,
    patch_of,
)
from shared import ids
from shared.domain import DiscoveryStatus

API_KEY = r"[\x21-\x7e]{1,512}"
MOST_MODELS = 1_000
MOST_GLOBS = 100
MOST_TAGS = 32


def _slug(text: str) -> None:
    if text in slugs.RESERVED:
        raise ma.ValidationError(
            f"Expected a slug that is no path of this API, got {text!r}. Choose another one."
        )


def _model_ids() -> Text:
    return Text(pattern=r"[^\x00-\x1f\x7f-\x9f]{1,256}", expected="1 to 256 printable characters")


def _seconds(about: str, most: float, usual: float) -> Seconds:
    about = f"seconds at most {about}"
    return Seconds(0.1, most, load_default=usual, metadata={"description": about})


class Options(Strict):
    """How a provider is called. Durations in seconds."""

    max_concurrency = Whole(
        1,
        100_000,
        allow_none=True,
        load_default=None,
        metadata={"description": "calls under way at most, across all workers; null: no limit"},
    )
    connect_timeout = _seconds("to connect, TLS included", 60, 5)
    first_byte_timeout = _seconds("until the answer begins", 3_600, 120)
    idle_timeout = _seconds("between two pieces of an answer", 3_600, 60)
    total_timeout = _seconds("for a whole call", 86_400, 600)
    verify_tls = Flag(
        load_default=True, metadata={"description": "whether its certificate is checked"}
    )
    ca_certificate = Text(
        allow_none=True,
        load_default=None,
        validate=[AtMost(65_536), certificates],
        metadata={"description": "PEM of the authorities to trust instead of the system's"},
    )
    models = Distinct(
        _model_ids(),
        load_default=list,
        validate=AtMost(MOST_MODELS, "ids"),
        metadata={"description": "model ids listed by hand"},
        expected="a list of model ids",
    )
    allow_models = Distinct(
        _model_ids(),
        allow_none=True,
        load_default=None,
        validate=AtMost(MOST_GLOBS, "patterns"),
        metadata={"description": "glob patterns of the model ids to offer; null: all"},
        expected="a list of glob patterns, or null",
    )


class NewProvider(Strict):
    """The body of `POST /v1/providers`."""

    name = Name(required=True)
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
    description = Text(load_default="", validate=[AtMost(2_000), prose])
    tags = Distinct(
        Tag(),
        load_default=list,
        validate=AtMost(MOST_TAGS, "tags"),
        expected="a list of tags",
        metadata={"description": "words to find it by"},
    )
    visibility = Visibility(load_default="everyone")
    enabled = Flag(
        load_default=True,
        metadata={"description": "false: it takes no new jobs, and its queued ones wait"},
    )
    options = Inner(Options, load_default=lambda: options_by_default())


def options_by_default() -> dict[str, Any]:
    """The options of a provider that was given none."""
    chosen: dict[str, Any] = Options().load({})
    return chosen


OptionsPatch = patch_of(Options, "OptionsPatch")
ProviderPatch = patch_of(
    NewProvider,
    "ProviderPatch",
    slug=Text(metadata={"description": "cannot be changed; only the present one is accepted"}),
    api_key=Text(
        pattern=API_KEY,
        expected="1 to 512 visible ASCII characters without spaces",
        metadata={
            "writeOnly": True,
            "description": "a new key, or null to remove it; needed when a stored key would go to "
            "another host or port, or over plain http where it went over https",
        },
    ),
    visibility=Visibility(or_null=True),
    options=Inner(
        OptionsPatch,
        metadata={"description": "merged member by member; null sets a member, or all, back"},
    ),
)


class ProviderQuery(PageQuery):
    """The query of `GET /v1/providers`."""

    after = Text(
        pattern=f"{ids.PROVIDER}[0-9A-Z]{{26}}",
        expected="the id of a provider",
        metadata={"description": "the id after which the page begins"},
    )
    tag = fields.List(
        Tag(),
        load_default=list,
        metadata={"description": "only providers with this tag; given several times, with all"},
    )
    status = Text(
        validate=OneOf([status.value for status in DiscoveryStatus]),
        metadata={"description": "only providers whose discovery shows this"},
    )
    q = Text(
        validate=AtMost(200),
        metadata={
            "description": "only providers whose name, slug, endpoint or description holds this, "
            "without regard to case"
        },
    )
