"""The shapes of responses, as JSON Schema for the OpenAPI document."""

from __future__ import annotations

from typing import Any

from services.registry.shaping import (
    FLAG,
    TEXT,
    TIME,
    WHOLE,
    Shape,
    list_of,
    map_of,
    object_of,
    or_null,
    ref,
    words,
)


def components(chat: dict[str, Shape]) -> dict[str, Shape]:
    """Name → schema of what is answered; what every view shows is as in the shapes of chats."""
    return {
        "Response": _response(chat["ChatCompletion"]["properties"]),
        "ResponseItem": _item(),
        "DeletedResponse": object_of(id=TEXT, object=words("response"), deleted=FLAG),
    }


def _response(job: dict[str, Any]) -> Shape:
    same = (
        *("metadata", "service_tier", "background", "queue_position", "attempts", "started_at"),
        *("expires_at", "webhook", "waiting_for", "provider"),
    )
    number = {"type": ["number", "null"]}
    return object_of(
        id={**TEXT, "description": "`resp_X`; the job is also found as `chatcmpl-X`"},
        object=words("response"),
        created_at=TIME,
        status=words("queued", "in_progress", "completed", "incomplete", "failed", "cancelled"),
        completed_at=or_null(TIME),
        error=or_null(ref("Error")),
        incomplete_details=or_null(object_of(reason=words("max_output_tokens", "content_filter"))),
        model=TEXT,
        output=list_of(ref("ResponseItem")),
        usage=or_null(_usage()),
        instructions=or_null(TEXT),
        max_output_tokens=or_null(WHOLE),
        max_tool_calls=or_null(WHOLE),
        parallel_tool_calls=FLAG,
        previous_response_id=or_null(TEXT),
        prompt_cache_key=or_null(TEXT),
        reasoning={"type": "object"},
        safety_identifier=or_null(TEXT),
        store=FLAG,
        temperature=number,
        text={"type": "object"},
        tool_choice={"anyOf": [TEXT, {"type": "object"}]},
        tools=list_of({"type": "object"}),
        top_logprobs=or_null(WHOLE),
        top_p=number,
        truncation=words("disabled"),
        user=or_null(TEXT),
        **{name: job[name] for name in same},
    )


def _usage() -> Shape:
    shape = object_of(
        input_tokens=WHOLE,
        input_tokens_details=map_of(WHOLE),
        output_tokens=WHOLE,
        output_tokens_details=map_of(WHOLE),
        total_tokens=WHOLE,
    )
    return {**shape, "description": "null: the provider reported none"}


def _item() -> Shape:
    head: dict[str, Shape] = {"id": TEXT, "status": words("completed", "incomplete")}
    content = list_of({"type": "object"})
    return {
        "anyOf": [
            object_of(
                **head,
                type=words("message"),
                role=words("assistant"),
                content={**content, "description": "output_text and refusal"},
            ),
            object_of(
                **head,
                type=words("reasoning"),
                summary=content,
                content={**content, "description": "reasoning_text"},
            ),
            object_of(**head, type=words("function_call"), call_id=TEXT, name=TEXT, arguments=TEXT),
        ],
        "description": "what the model said, thought or wants called",
    }
