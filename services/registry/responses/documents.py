"""The response as its owner sees it, in the fields of OpenAI's `Response` and a few of ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from services.registry import problems
from services.registry.chat.naming import RESPONSES
from services.registry.responses.output import Output
from shared.crypto import SealBroken, Sealer
from shared.domain import JobState
from shared.store import jobs
from shared.store.jobs import Job

# Why a completed answer is not whole: finish_reason → reason.
_INCOMPLETE: Final = {"length": "max_output_tokens", "content_filter": "content_filter"}

_ECHOED: Final[Mapping[str, Any]] = {
    "instructions": None,
    "max_output_tokens": None,
    "parallel_tool_calls": True,
    "prompt_cache_key": None,
    "safety_identifier": None,
    "temperature": None,
    "tool_choice": "auto",
    "tools": [],
    "top_logprobs": None,
    "top_p": None,
    "user": None,
}


class _Used(msgspec.Struct):
    usage: Any = None


_RESULT: Final = msgspec.json.Decoder(_Used)


def begun(job: Job, asked: Mapping[str, Any], status: str) -> dict[str, Any]:
    """The response before it has an end; `asked` is the client's body, empty where it was a chat.

    What was not asked for has OpenAI's default, or null where the provider's is not known. Nothing
    in it changes by itself, so that a replayed event is the event that it was.
    """
    echoed = {
        name: default if asked.get(name) is None else asked[name]
        for name, default in _ECHOED.items()
    }
    return {
        "id": RESPONSES.named(job.id),
        "object": "response",
        "created_at": int(job.created_at),
        "status": status,
        "completed_at": None,
        "error": None,
        "incomplete_details": None,
        "model": job.model,
        "output": [],
        "usage": None,
        **echoed,
        "text": {"format": {"type": "text"}, **_without_nulls(asked.get("text"))},
        "reasoning": {"effort": None, "summary": None, **(asked.get("reasoning") or {})},
        "max_tool_calls": None,
        "previous_response_id": None,
        "truncation": "disabled",
        "background": job.background,
        "metadata": job.metadata,
        "service_tier": job.service_tier,
        "store": job.store,
    }


def ended(
    job: Job, asked: Mapping[str, Any], output: Output, error: dict[str, Any] | None, sealer: Sealer
) -> dict[str, Any]:
    """The response of a terminal job, whose chunks `output` has.

    Where its result does not open with the keyring in force, `error` says so.
    """
    reason = _incomplete(job, output)
    status = job.state.value if reason is None else "incomplete"
    at = job.completed_at
    usage = None
    try:
        usage = _usage(job, sealer)
    except SealBroken as broken:
        error = error or problems.unreadable(broken).document()
    return {
        **begun(job, asked, status),
        "completed_at": int(at) if status == "completed" and at is not None else None,
        "error": error,
        "incomplete_details": None if reason is None else {"reason": reason},
        "output": output.items(),
        "usage": usage,
    }


def is_whole(job: Job | None, output: Output, error: dict[str, Any] | None) -> bool:
    """Whether a job's last items are as long as the model wanted them; None: it was deleted."""
    completed = job is not None and job.state is JobState.COMPLETED and error is None
    return completed and _incomplete(job, output) is None


def _incomplete(job: Job | None, output: Output) -> str | None:
    if job is None or job.state is not JobState.COMPLETED:
        return None
    return _INCOMPLETE.get(output.finish_reason or "")


def _usage(job: Job, sealer: Sealer) -> dict[str, Any] | None:
    """OpenAI's counts; None where the provider reported none. Its details are 0 where unknown."""
    if job.state is not JobState.COMPLETED or job.result_sealed is None:
        return None
    place = {"table": jobs.TABLE, "row": job.id, "column": jobs.RESULT}
    told = _RESULT.decode(sealer.open(job.result_sealed, **place)).usage
    if not isinstance(told, dict):
        return None
    asked, answered = _count(told, "prompt_tokens"), _count(told, "completion_tokens")
    if asked is None and answered is None:
        return None
    inputs, outputs = asked or 0, answered or 0
    prompt, completion = told.get("prompt_tokens_details"), told.get("completion_tokens_details")
    return {
        "input_tokens": inputs,
        "input_tokens_details": {
            "cached_tokens": _count(prompt, "cached_tokens") or 0,
            "cache_write_tokens": _count(prompt, "cache_write_tokens") or 0,
        },
        "output_tokens": outputs,
        "output_tokens_details": {
            "reasoning_tokens": _count(completion, "reasoning_tokens") or 0,
        },
        "total_tokens": _count(told, "total_tokens") or inputs + outputs,
    }


def _count(told: Any, name: str) -> int | None:
    value = told.get(name) if isinstance(told, dict) else None
    return value if type(value) is int and value >= 0 else None


def _without_nulls(given: Any) -> dict[str, Any]:
    return {name: value for name, value in (given or {}).items() if value is not None}
