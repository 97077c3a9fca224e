"""The rows of a finished job and of what hangs on it; columns that are left out have no value."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from ulid import ULID

ENDS: Final = ("completed",) * 97 + ("failed",) * 2 + ("cancelled",)
TIERS: Final = ("default",) * 8 + ("flex", "priority")
WORDS: Final = ("quick", "brown", "fox", "jumps", "over", "lazy", "dogs", "while", "translating")

Row = dict[str, Any]
Seal = Callable[[bytes, str, str], str]  # plain text, id of the row, column


def job(
    number: int,
    created: float,
    chance: random.Random,
    *,
    seed: int,
    until: float,
    kept: float,
    store: bool,
) -> Row:
    """A job without its owner, its provider and what is sealed; `kept` seconds after its end."""
    state = chance.choice(ENDS)
    ended = min(created + chance.uniform(0.2, 20.0), until - 1)
    keyed = number % 10 == 0
    return {
        "id": ulid(created, chance),
        "request_id": f"req_{number}",
        "background": True,
        "store": store,
        "service_tier": chance.choice(TIERS),
        "metadata": f'{{"run": "{number % 1_000}", "part": "{number}"}}',
        "on_interrupt": "fail",
        "on_unavailable": "wait",
        "state": state,
        "worker_id": "wrk_01ARZ3NDEKTSV4RRFFQ69G5FAV",
        "attempt": 1,
        "calls": 1,
        "interrupts": 0,
        "losses": 0,
        "not_before": 0.0,
        "deadline": created + 3_600,
        "created_at": created,
        "started_at": created + 0.01,
        "completed_at": ended,
        "expires_at": ended + kept,
        "version": 3,
        "error_code": _code(state),
        "may_have_been_billed": False,
        "idempotency_key": f"run-{seed}-{number}" if keyed else None,
        "body_fingerprint": "0" * 32 if keyed else None,
    }


def waiting(row: Row) -> Row:
    """The job as it was before anybody took it."""
    return row | {
        "state": "queued",
        "worker_id": None,
        "attempt": 0,
        "calls": 0,
        "started_at": None,
        "completed_at": None,
        "expires_at": None,
        "version": 1,
        "error_code": None,
        "result_sealed": None,
        "idempotency_key": None,
        "body_fingerprint": None,
    }


def sealed(row: Row, chance: random.Random, texts: Texts, seal: Seal) -> Row:
    """What only the keyring opens; a twentieth have a webhook."""
    job_id, completed = row["id"], row["state"] == "completed"
    answer, hooked = chance.choice(texts.answers), chance.random() < 0.05
    return {
        "request_sealed": seal(chance.choice(texts.questions), job_id, "request_sealed"),
        "result_sealed": seal(answer, job_id, "result_sealed") if completed else None,
        "webhook_sealed": seal(b"{}", job_id, "webhook_sealed") if hooked else None,
    }


def _code(state: str) -> str | None:
    return {"failed": "upstream_server_error", "cancelled": "cancelled"}.get(state)


def attempt(job: Row) -> Row:
    """The evidence of a job's only claim."""
    return {
        "job_id": job["id"],
        "attempt": 1,
        "worker_id": job["worker_id"],
        "chat_url": "https://inference.example.com/v1/chat/completions",
        "key_fingerprint": "3fa1b2c4",
        "provider_revision": 1,
        "started_at": job["started_at"],
        "ended_at": job["completed_at"],
        "calls": 1,
        "connect_seconds": 0.004,
        "first_byte_seconds": 0.12,
        "upstream_status": 200,
        "outcome": job["error_code"] or "completed",
        "sent": True,
        "fenced": False,
        "prompt_tokens": 180,
        "completion_tokens": 120,
    }


def delivery(job: Row) -> Row:
    """A webhook that was delivered at once."""
    return {
        "id": f"evt_{job['id']}",
        "job_id": job["id"],
        "type": f"chat.completion.{job['state']}",
        "status": "delivered",
        "attempts": 1,
        "next_at": job["completed_at"],
        "claimed_until": 0.0,
        "last_status": 204,
        "created_at": job["completed_at"],
    }


def ulid(at: float, chance: random.Random) -> str:
    """A bare id of that moment."""
    return str(ULID.from_int(int(at * 1000) << 80 | chance.getrandbits(80)))


@dataclass(frozen=True, slots=True)
class Texts:
    """Some questions and answers of about 900 bytes each: composing a new one takes 60 µs."""

    questions: Sequence[bytes]
    answers: Sequence[bytes]

    @classmethod
    def some(cls, chance: random.Random) -> Texts:
        said = [" ".join(chance.choices(WORDS, k=chance.randint(60, 180))) for _ in range(256)]
        return cls([_question(text) for text in said], [answer(text) for text in said])


def _question(text: str) -> bytes:
    """The body that an upstream gets."""
    messages = [
        {"role": "system", "content": "You are a careful translator."},
        {"role": "user", "content": text},
    ]
    return msgspec.json.encode({"model": "m", "messages": messages})


def answer(text: str) -> bytes:
    """What an upstream answers."""
    message = {"role": "assistant", "content": text}
    document = {
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 180, "completion_tokens": 120, "total_tokens": 300},
        "system_fingerprint": "fp_1",
    }
    return msgspec.json.encode(document)
