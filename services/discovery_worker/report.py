"""What a test of an unsaved provider asks for, and what it found so far."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, Literal

import msgspec

from shared.errors import DragomanError
from shared.telemetry import Secret
from shared.upstream import ModelList

STEPS: Final = ("resolve", "connect", "tls", "models", "authenticate", "chat")
AFTER_FAILURE: Final = "Not tried, because an earlier step failed."

Verdict = Literal["ok", "failed", "skipped"]


class Unreadable(DragomanError):
    """A stored request or result that cannot be understood; holds nothing of its content."""


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """A stored request, as `store.checks` describes it. Fields of later releases are ignored."""

    endpoint: str
    api_key: str | None = None
    options: dict[str, Any] = {}
    chat: bool = False
    model: str | None = None

    @property
    def key(self) -> Secret | None:
        """The key in the type that prints as stars."""
        return None if self.api_key is None else Secret(self.api_key)

    def __repr__(self) -> str:
        return "Wanted(…)"


class Step(msgspec.Struct, kw_only=True):
    """One step; `ms` is None where nothing was measured."""

    name: str
    verdict: Verdict
    ms: int | None
    message: str
    remedy: str | None


class _Stored(msgspec.Struct):
    steps: list[Step]


@dataclass
class Report:
    """The steps that are done, in order, and what may be saved."""

    steps: list[Step] = field(default_factory=list)
    endpoint: str | None = None
    listed: ModelList | None = None

    @property
    def next_step(self) -> str:
        """The first step that is not done."""
        done = len(self.steps)
        return STEPS[done] if done < len(STEPS) else STEPS[-1]

    def add(
        self,
        name: str,
        verdict: Verdict,
        message: str,
        *,
        ms: int | None = None,
        remedy: str | None = None,
    ) -> None:
        """Add a step, or what was learnt of one since."""
        step = Step(name=name, verdict=verdict, ms=ms, message=message, remedy=remedy)
        for place, known in enumerate(self.steps):
            if known.name == name:
                self.steps[place] = step
                return
        self.steps.append(step)

    def finish(self) -> None:
        """Skip the steps that were not reached."""
        for name in STEPS[len(self.steps) :]:
            self.add(name, "skipped", AFTER_FAILURE)

    def document(self) -> bytes:
        """The result as it is stored."""
        models = self.listed.models if self.listed is not None else ()
        return msgspec.json.encode(
            {
                "steps": self.steps,
                "endpoint": self.endpoint,
                "models": [{"id": m.id, "context_length": m.context_length} for m in models],
            }
        )


def read_wanted(plain: bytes) -> Wanted:
    """The stored request; raises Unreadable."""
    try:
        return msgspec.json.decode(plain, type=Wanted)
    except msgspec.MsgspecError:
        raise Unreadable("the stored request is not one that this release understands") from None


def read_steps(plain: bytes) -> list[Step]:
    """The steps of a stored result; raises Unreadable."""
    try:
        return msgspec.json.decode(plain, type=_Stored).steps
    except msgspec.MsgspecError:
        raise Unreadable("the stored result is not one that this release understands") from None
