"""The bytes of a stream (API.md section 7), and the chunks of jobs that have ended.

chunk   [id: <number>] data: <JSON>, a blank line
ping    a comment and ONE line feed: two crash openai-python once an `id:` was seen
done    data: [DONE], a blank line
fail    data: {"error": …}, a blank line; then the connection closes
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Protocol

import msgspec

from shared import ids
from shared.crypto import Sealer
from shared.domain import JobState
from shared.live import logged_chunks
from shared.store import jobs
from shared.store.jobs import Job, StoredLog

PING: Final = b": ping\n"
DONE: Final = b"data: [DONE]\n\n"
CONTENT_TYPE: Final = "text/event-stream"
HEADERS: Final = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


class Frames(Protocol):
    """The bytes of one reader's stream. `after` is the last chunk that it can do without."""

    after: int

    def opening(self) -> bytes:
        """What comes before any chunk."""

    def of(self, chunks: Sequence[bytes], first: int) -> bytes:
        """What these chunks in a row are to the reader; the first has this number."""

    def end(self, job: Job | None, error: dict[str, Any] | None) -> bytes:
        """What comes last: of the ended job (None: deleted), with OpenAI's error object if any."""


class ChunkFrames:
    """Every chunk behind number `after` as it is; `numbered`: with its `id:` line."""

    def __init__(self, *, after: int = -1, numbered: bool) -> None:
        self.after = after
        self._numbered = numbered

    def opening(self) -> bytes:
        """Nothing."""
        return b""

    def of(self, chunks: Sequence[bytes], first: int) -> bytes:
        """One frame a chunk."""
        if not self._numbered:
            return b"".join([b"data: %b\n\n" % chunk for chunk in chunks])
        return b"".join(
            [b"id: %d\ndata: %b\n\n" % numbered for numbered in enumerate(chunks, first)]
        )

    def end(self, job: Job | None, error: dict[str, Any] | None) -> bytes:
        """That all was sent, or why not."""
        del job
        return DONE if error is None else fail(error)


def fail(error: dict[str, Any]) -> bytes:
    """The frame of a failure that came after the status line."""
    return b"data: %b\n\n" % msgspec.json.encode({"error": error})


def stored_chunks(job: Job, stored: StoredLog, sealer: Sealer) -> list[bytes]:
    """Every chunk of an ended job, number 0 first; raises SealBroken.

    A job that was not streamed upstream has two: what was said, and why it ended; and the usage,
    where the client asked for it.
    """
    if stored.log_sealed is not None:
        place = {"table": jobs.TABLE, "row": job.id, "column": jobs.LOG}
        return logged_chunks(sealer.open(stored.log_sealed, **place))
    if job.state is not JobState.COMPLETED or job.result_sealed is None:
        return []
    place = {"table": jobs.TABLE, "row": job.id, "column": jobs.RESULT}
    result = msgspec.json.decode(sealer.open(job.result_sealed, **place))
    return made_up(job, result, include_usage=stored.include_usage)


def made_up(job: Job, result: dict[str, Any], *, include_usage: bool) -> list[bytes]:
    """The chunks of an answer that came whole."""
    choices = result.get("choices") or []
    said = [
        {
            "index": choice.get("index", place),
            "delta": _delta(choice.get("message") or {}),
            "logprobs": choice.get("logprobs"),
            "finish_reason": None,
        }
        for place, choice in enumerate(choices)
    ]
    ends = [
        {
            "index": choice.get("index", place),
            "delta": {},
            "finish_reason": choice.get("finish_reason"),
        }
        for place, choice in enumerate(choices)
    ]
    kept = {"choices", "usage", "id", "object", "created", "model"}
    theirs = {name: value for name, value in result.items() if name not in kept}
    bodies: list[dict[str, Any]] = [{**theirs, "choices": said}, {"choices": ends}]
    if include_usage and result.get("usage") is not None:
        bodies.append({"choices": [], "usage": result["usage"]})
    ours = {
        "id": ids.COMPLETION + job.id,
        "object": "chat.completion.chunk",
        "created": int(job.created_at),
        "model": job.model,
    }
    return [
        msgspec.json.encode({**body, **ours, "sequence_number": number})
        for number, body in enumerate(bodies)
    ]


def _delta(message: dict[str, Any]) -> dict[str, Any]:
    """The message as one delta: tool calls need the index that only streams have."""
    calls = message.get("tool_calls")
    if not isinstance(calls, list):
        return message
    numbered = [
        {"index": place, **call} if isinstance(call, dict) else call
        for place, call in enumerate(calls)
    ]
    return {**message, "tool_calls": numbered}
