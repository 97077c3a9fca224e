"""Messages and answers as plain text for templates; what providers sent may be of any type."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

REASONING: Final = ("reasoning_content", "reasoning", "thinking")
_CONTENT: Final = frozenset({"model", "messages", "stream", "stream_options"})
MOST_TOKENS: Final = 2**63
LONGEST_PARAMETER: Final = 2_000  # characters of one that is shown; schemas of tools are long


def objects(found: Any) -> Sequence[Mapping[str, Any]]:
    """The objects of what should be a list of them."""
    if isinstance(found, msgspec.Raw):
        found = msgspec.json.decode(found)
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def text(content: Any) -> str:
    """The text of a message's content; a word stands for each part that is none."""
    if isinstance(content, str):
        return content
    return "\n".join(
        part["text"]
        if isinstance(part.get("text"), str)
        else f"[{part.get('type', '?')}, not shown]"
        for part in objects(content)
    )


def calls(message: Mapping[str, Any]) -> Sequence[str]:
    """The tool calls of a message, each as `name(arguments)`."""
    found = []
    for call in objects(message.get("tool_calls")):
        function = call.get("function")
        told = function if isinstance(function, dict) else {}
        found.append(f"{told.get('name', '?')}({told.get('arguments', '')})")
    return found


def message(sent: Mapping[str, Any]) -> dict[str, Any]:
    """One message of a request."""
    return {
        "role": str(sent.get("role", "?")),
        "text": text(sent.get("content")),
        "calls": calls(sent),
    }


def choice(given: Mapping[str, Any]) -> dict[str, Any]:
    """One choice of an answer."""
    found = given.get("message")
    said = found if isinstance(found, dict) else {}
    reasoning = next((said[n] for n in REASONING if isinstance(said.get(n), str) and said[n]), "")
    refusal = said.get("refusal")
    finish = given.get("finish_reason")
    return {
        "text": text(said.get("content")) or (refusal if isinstance(refusal, str) else ""),
        "reasoning": reasoning,
        "calls": calls(said),
        "finish_reason": finish if isinstance(finish, str) else "",
    }


def tokens(usage: Any) -> tuple[int | None, int | None] | None:
    """Tokens in and out; None where the provider reported none."""
    if isinstance(usage, msgspec.Raw):
        usage = msgspec.json.decode(usage)
    if not isinstance(usage, dict):
        return None
    return _count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens"))


def _count(told: Any) -> int | None:
    """A number of tokens; None for what cannot be one: a provider may write 400 digits."""
    return told if type(told) is int and 0 <= told < MOST_TOKENS else None


def parameters(request: Mapping[str, Any]) -> dict[str, str]:
    """Further fields of a request, as JSON."""
    found = {}
    for name, value in request.items():
        if name in _CONTENT:
            continue
        told = msgspec.json.encode(value).decode()
        found[name] = told if len(told) <= LONGEST_PARAMETER else f"{told[:LONGEST_PARAMETER]}…"
    return found
