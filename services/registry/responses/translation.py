"""A request for a response as the chat that answers it."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from services.registry.chat.request import Chat, ChatRequest, is_background
from services.registry.preferences import NONE, Preferences
from services.registry.responses.messages import messages
from services.registry.responses.request import FunctionChoice, ResponseRequest, TextFormat
from shared.errors import InvalidValue

ROUTE: Final = "responses"

# Fields that mean the same under another name, or under the same one.
_SAME: Final = {
    "temperature": "temperature",
    "top_p": "top_p",
    "max_output_tokens": "max_tokens",  # the name that every server knows
    "parallel_tool_calls": "parallel_tool_calls",
    "user": "user",
    "safety_identifier": "safety_identifier",
    "prompt_cache_key": "prompt_cache_key",
}


def chat(request: ResponseRequest, prefer: Preferences = NONE) -> Chat:
    """The chat; the request is kept beside it without what is sealed in places of its own.

    Raises InvalidValue.
    """
    kept = msgspec.json.encode(msgspec.structs.replace(request, background_options=None))
    ours = ChatRequest(
        model=request.model,
        messages=[],  # those that go upstream are beside it
        background=request.background,
        store=request.store,
        metadata=request.metadata,
        service_tier=request.service_tier,
        background_options=request.background_options,
        stream=request.stream,
    )
    return Chat(ours, upstream(request), is_background(ours, prefer), ROUTE, kept)


def upstream(request: ResponseRequest) -> dict[str, Any]:
    """The body of the chat completion; raises InvalidValue."""
    body: dict[str, Any] = {"messages": messages(request.input, request.instructions)}
    for name, theirs in _SAME.items():
        if (value := getattr(request, name)) is not None:
            body[theirs] = value
    if request.stream:
        body["stream"] = True
    if request.tools:
        body["tools"] = [
            {"type": "function", "function": _without_nulls(tool, "type")} for tool in request.tools
        ]
    if (choice := request.tool_choice) is not None:
        named = isinstance(choice, FunctionChoice)
        body["tool_choice"] = _chosen(choice) if named else choice
    if request.top_logprobs:
        body |= {"logprobs": True, "top_logprobs": request.top_logprobs}
    if request.reasoning is not None and request.reasoning.effort is not None:
        body["reasoning_effort"] = request.reasoning.effort
    if (text := request.text) is not None:
        if text.format is not None and text.format.type != "text":
            body["response_format"] = _response_format(text.format)
        if text.verbosity is not None:
            body["verbosity"] = text.verbosity
    return body


def _chosen(choice: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": choice.name}}


def _response_format(form: TextFormat) -> dict[str, Any]:
    if form.type == "json_object":
        return {"type": "json_object"}
    for name in ("name", "schema"):
        if getattr(form, name) is None:
            param = f"text.format.{name}"
            raise InvalidValue(f"Expected a value for {param}, got none. Send one.", param=param)
    return {"type": "json_schema", "json_schema": _without_nulls(form, "type")}


def _without_nulls(struct: msgspec.Struct, *left_out: str) -> dict[str, Any]:
    fields = msgspec.structs.asdict(struct)
    return {n: value for n, value in fields.items() if value is not None and n not in left_out}
