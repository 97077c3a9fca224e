"""The body of `POST /v1/responses`: what a chat completion can do, and nothing else.

Nothing of it goes upstream as it is, so a field that nobody reads would be a promise that nobody
keeps: it is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, Raw, Struct

from services.registry import json_bodies
from services.registry.chat.request import (
    BackgroundOptions,
    Metadata,
    ModelName,
    Tier,
)
from shared.errors import InvalidValue

Status = Literal["in_progress", "completed", "incomplete"]

_CONVERSATION: Final = "Send the whole conversation as `input` items."
# What OpenAI has and a chat completion cannot do: name → what to do instead. Null is no request.
_UNDONE: Final = {
    "previous_response_id": _CONVERSATION,
    "conversation": _CONVERSATION,
    "context_management": _CONVERSATION,
    "prompt": "Send `instructions` and `input` in its place.",
    "include": "Leave it out: what the provider gives is always included.",
    "max_tool_calls": "Leave it out: it bounds built-in tools, and there are none.",
    "moderation": "Leave it out.",
}
_PARTS: Final = {"input_text", "input_image", "output_text", "refusal"}
_ITEMS: Final = {"message", "function_call", "function_call_output", "reasoning"}


# Not `Raw`, which would be an object of 50 bytes for each.
_ANYTHING: Final = Meta(extra_json_schema={"items": {}})


class InputPart(Struct, forbid_unknown_fields=True, omit_defaults=True):
    """A piece of a message: text, an image by its URL, or a refusal."""

    type: Literal[
        "input_text", "input_image", "output_text", "refusal", "reasoning_text", "summary_text"
    ]
    text: str | None = None
    image_url: str | None = None
    detail: Literal["auto", "low", "high"] | None = None
    file_id: None = None
    refusal: str | None = None
    annotations: Annotated[list[Any], _ANYTHING] | None = None
    logprobs: Annotated[list[Any], _ANYTHING] | None = None


class InputItem(Struct, forbid_unknown_fields=True, omit_defaults=True):
    """A message, a function call, its output, or what a model thought, which is not sent back."""

    type: Literal["message", "function_call", "function_call_output", "reasoning"] = "message"
    role: Literal["user", "assistant", "system", "developer"] | None = None
    content: str | list[InputPart] | None = None
    call_id: str | None = None
    name: str | None = None
    arguments: str | None = None
    output: str | list[InputPart] | None = None
    summary: list[InputPart] | None = None
    encrypted_content: str | None = None
    id: str | None = None
    status: Status | None = None
    phase: str | None = None


class FunctionTool(Struct, forbid_unknown_fields=True):
    """A function that the model may call."""

    type: Literal["function"]
    name: Annotated[str, Meta(min_length=1, max_length=128)]
    description: str | None = None
    parameters: dict[str, Raw] | None = None
    strict: bool | None = None


class FunctionChoice(Struct, forbid_unknown_fields=True):
    """The function that the model must call."""

    type: Literal["function"]
    name: str


class TextFormat(Struct, forbid_unknown_fields=True, omit_defaults=True):
    """The form of the answer's text; a `json_schema` has a name and a schema."""

    type: Literal["text", "json_object", "json_schema"]
    name: str | None = None
    description: str | None = None
    schema: dict[str, Raw] | None = None
    strict: bool | None = None


class TextOptions(Struct, forbid_unknown_fields=True, omit_defaults=True):
    """How the text shall be."""

    format: TextFormat | None = None
    verbosity: Literal["low", "medium", "high"] | None = None


class ReasoningOptions(Struct, forbid_unknown_fields=True, omit_defaults=True):
    """How much the model shall think."""

    effort: str | None = None
    summary: None = None
    generate_summary: None = None


class ResponseStreamOptions(Struct, forbid_unknown_fields=True):
    """How the events shall be; they are never padded."""

    include_obfuscation: bool | None = None


class ResponseRequest(Struct, forbid_unknown_fields=True):
    """OpenAI's request for a response, of text and function tools."""

    model: ModelName
    input: str | Annotated[list[InputItem], Meta(min_length=1)]
    instructions: str | None = None
    tools: list[FunctionTool] | None = None
    tool_choice: Literal["none", "auto", "required"] | FunctionChoice | None = None
    parallel_tool_calls: bool | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    max_output_tokens: Annotated[int, Meta(ge=1)] | None = None
    text: TextOptions | None = None
    reasoning: ReasoningOptions | None = None
    truncation: Literal["disabled"] | None = None
    previous_response_id: None = None
    conversation: None = None
    context_management: list[None] | None = None
    prompt: None = None
    include: list[None] | None = None
    max_tool_calls: None = None
    moderation: None = None
    user: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    background: bool | None = None
    store: bool | None = None
    metadata: Metadata | None = None
    service_tier: Tier | None = None
    background_options: BackgroundOptions | None = None
    stream: bool | None = None
    stream_options: ResponseStreamOptions | None = None


def json_schema() -> dict[str, dict[str, Any]]:
    """Name → JSON Schema of the body and of what it is made of."""
    _, components = msgspec.json.schema_components(
        [ResponseRequest], ref_template="#/components/schemas/{name}"
    )
    for schema in components.values():
        schema["description"] = " ".join(schema["description"].split())
    return components


class RequestReader:
    """Decodes requests; one for all of a process."""

    def __init__(self) -> None:
        self._any = msgspec.json.Decoder(dict[str, Any])
        self._requests = msgspec.json.Decoder(ResponseRequest)

    def read(self, body: bytes) -> ResponseRequest:
        """The request in `body`; raises InvalidJson, InvalidValue or UnknownField."""
        plain: dict[str, Any] = json_bodies.decode(body, self._any)
        for param, remedy in _undone(plain):
            raise InvalidValue(
                f"Expected what a chat completion can do, got {param}, which it cannot. {remedy}",
                param=param,
            )
        return json_bodies.decode(body, self._requests)


def _undone(body: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """JSON path and remedy of what is asked for and cannot be done."""
    for name, remedy in _UNDONE.items():
        if body.get(name) not in (None, []):
            yield name, remedy
    if body.get("truncation") not in (None, "disabled"):
        yield "truncation", "Shorten `input` yourself, and send `disabled` or nothing."
    for path, thing, types in _typed(body):
        kind = thing.get("type", "message")
        if isinstance(kind, str) and kind not in types:  # what is no word is refused by its type
            yield f"{path}.type", f"Send one of {', '.join(sorted(types))}, not {kind[:60]!r}."
    choice = body.get("tool_choice")
    if isinstance(choice, dict) and choice.get("type") != "function":
        yield "tool_choice.type", "Choose none, auto, required or one function."
    for path, asked in _flags(body):
        if asked:
            yield path, "Leave it out."


def _typed(body: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any], set[str]]]:
    """Path, value and the types that are taken, of everything that comes in several types."""
    for path, tool in _objects("tools", body.get("tools")):
        yield path, tool, {"function"}
    for path, item in _objects("input", body.get("input")):
        yield path, item, _ITEMS
        if item.get("type") == "reasoning":
            continue
        for name in ("content", "output"):
            for inner, part in _objects(f"{path}.{name}", item.get(name)):
                yield inner, part, _PARTS


def _flags(body: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for outer, names in (
        ("reasoning", ("summary", "generate_summary")),
        ("stream_options", ("include_obfuscation",)),
    ):
        inner = body.get(outer)
        if isinstance(inner, dict):
            for name in names:
                yield f"{outer}.{name}", inner.get(name)


def _objects(path: str, value: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for place, one in enumerate(value if isinstance(value, list) else ()):
        if isinstance(one, dict):
            yield f"{path}[{place}]", one
