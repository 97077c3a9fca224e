"""Input items as the messages of a chat completion.

What a model thought before is left out: a chat completion takes no reasoning back. `developer` is
sent as `system`, which every server knows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from services.registry.responses.request import InputItem, InputPart
from shared.errors import InvalidValue

Message = dict[str, Any]

_FILES: Final = "Send the image as `image_url`: a URL, or a data URL with the image itself."


def messages(asked: str | Sequence[InputItem], instructions: str | None) -> list[Message]:
    """The messages; raises InvalidValue with the JSON path of an item that is not whole."""
    found: list[Message] = []
    if instructions:
        found.append({"role": "system", "content": instructions})
    if isinstance(asked, str):
        return [*found, {"role": "user", "content": asked}]
    for place, item in enumerate(asked):
        _TRANSLATED[item.type](item, f"input[{place}]", found)
    return found


def _message(item: InputItem, path: str, found: list[Message]) -> None:
    role = _given(item.role, f"{path}.role")
    content = _given(item.content, f"{path}.content")
    if role != "assistant":
        sent = "system" if role == "developer" else role
        found.append({"role": sent, "content": _content(content, f"{path}.content")})
        return
    said, refusal = _said(content, f"{path}.content")
    last = found[-1] if found else {}
    if "tool_calls" in last:  # of the same turn: the calls' outputs must follow at once
        said = (last["content"] or "") + said
    else:
        last = {"role": "assistant"}
        found.append(last)
    last["content"] = said
    if refusal:
        last["refusal"] = last.get("refusal", "") + refusal


def _call(item: InputItem, path: str, found: list[Message]) -> None:
    call = {
        "id": _given(item.call_id, f"{path}.call_id"),
        "type": "function",
        "function": {
            "name": _given(item.name, f"{path}.name"),
            "arguments": _given(item.arguments, f"{path}.arguments"),
        },
    }
    if not found or found[-1]["role"] != "assistant":
        found.append({"role": "assistant", "content": None})
    found[-1].setdefault("tool_calls", []).append(call)


def _call_output(item: InputItem, path: str, found: list[Message]) -> None:
    output = _given(item.output, f"{path}.output")
    if not isinstance(output, str):
        output, _ = _said(output, f"{path}.output")
    call_id = _given(item.call_id, f"{path}.call_id")
    found.append({"role": "tool", "tool_call_id": call_id, "content": output})


def _thought(item: InputItem, path: str, found: list[Message]) -> None:
    del item, path, found


def _content(content: str | Sequence[InputPart], path: str) -> str | list[dict[str, Any]]:
    """One text stays a text, because not every server takes lists of parts."""
    if isinstance(content, str):
        return content
    parts = [_part(part, f"{path}[{place}]") for place, part in enumerate(content)]
    if len(parts) == 1 and parts[0]["type"] == "text":
        text: str = parts[0]["text"]
        return text
    return parts


def _part(part: InputPart, path: str) -> dict[str, Any]:
    if part.type == "input_text":
        return {"type": "text", "text": _given(part.text, f"{path}.text")}
    if part.type == "input_image":
        image = {"url": _given(part.image_url, f"{path}.image_url", _FILES)}
        if part.detail is not None:
            image["detail"] = part.detail
        return {"type": "image_url", "image_url": image}
    raise InvalidValue(
        f"Expected input_text or input_image, got {part.type!r}. Only an assistant's message has "
        "other parts.",
        param=f"{path}.type",
    )


def _said(content: str | Sequence[InputPart], path: str) -> tuple[str, str]:
    """All text, and all refusals."""
    if isinstance(content, str):
        return content, ""
    said, refused = "", ""
    for place, part in enumerate(content):
        where = f"{path}[{place}]"
        if part.type == "refusal":
            refused += _given(part.refusal, f"{where}.refusal")
        elif part.type == "input_image":
            raise InvalidValue(
                "Expected text, got an image. Send images in a message of the user.",
                param=f"{where}.type",
            )
        else:
            said += _given(part.text, f"{where}.text")
    return said, refused


def _given(value: Any, path: str, remedy: str = "Send one.") -> Any:
    if value is None:
        raise InvalidValue(f"Expected a value for {path}, got none. {remedy}", param=path)
    return value


_TRANSLATED: Final[dict[str, Callable[[InputItem, str, list[Message]], None]]] = {
    "message": _message,
    "function_call": _call,
    "function_call_output": _call_output,
    "reasoning": _thought,
}
