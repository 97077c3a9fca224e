"""The chunks of one streamed call: numbered, logged, folded, and handed to whoever follows."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from services.chat_worker.live_queue import LiveStream
from shared import ids
from shared.chunks import Fold, is_usage_only
from shared.domain import OnInterrupt
from shared.errors import UpstreamInvalidAnswer
from shared.live import MOST_LOG_BYTES
from shared.store.jobs import ClaimedJob

_ENCODER: Final = msgspec.json.Encoder()


class Publishing:
    """What became of a call's chunks so far; used on the loop only.

    A call that is run again when it is lost keeps its chunks back until the database knows that
    readers may see them: `before_first` asks for that once, `permit` is the answer.
    """

    def __init__(
        self, job: ClaimedJob, stream: LiveStream, *, before_first: Callable[[], None]
    ) -> None:
        self._ours = {
            "id": ids.COMPLETION + job.id,
            "created": int(job.created_at),
            "model": job.model,
        }
        self._with_usage = job.include_usage
        self._stream = stream
        self._before_first = before_first
        if job.on_interrupt != OnInterrupt.RETRY:
            stream.show()
        self._fold = Fold()
        self._began_at: float | None = None

    @property
    def seen(self) -> bool:
        """Whether a reader may have seen a chunk: the call must not be repeated."""
        return self._stream.shown and self._stream.log.count > 0

    @property
    def began(self) -> bool:
        """Whether any chunk came."""
        return self._began_at is not None

    def seconds_to_first(self, since: float) -> float | None:
        """Seconds from a moment of the monotonic clock to the first chunk; None without any."""
        return None if self._began_at is None else self._began_at - since

    def take(self, chunk: dict[str, Any]) -> None:
        """Take the upstream's next chunk; raises UpstreamInvalidAnswer when all are too much."""
        if self._began_at is None:
            self._began_at = time.monotonic()
        self._fold.add(chunk)
        if self._is_shown(chunk):
            self._publish(_ENCODER.encode(self._as_ours(chunk)))

    def permit(self) -> None:
        """Let readers see the chunks."""
        self._stream.show()

    def end(self) -> None:
        """No chunk follows."""
        self._stream.end()

    def completion(self) -> dict[str, Any]:
        """What the chunks add up to."""
        return self._fold.completion()

    @property
    def count(self) -> int:
        """How many chunks were numbered."""
        return self._stream.log.count

    def log(self) -> bytes:
        """The packed log (`shared.live.chunk_log`); empty when no chunk was numbered."""
        return self._stream.log.packed()

    def _is_shown(self, chunk: Mapping[str, Any]) -> bool:
        """Only the usage chunk that the client asked for may be without choices."""
        if is_usage_only(chunk):
            return self._with_usage
        return bool(chunk["choices"])

    def _as_ours(self, chunk: Mapping[str, Any]) -> dict[str, Any]:
        return {**chunk, **self._ours, "sequence_number": self._stream.log.count}

    def _publish(self, line: bytes) -> None:
        if self._stream.log.size + len(line) >= MOST_LOG_BYTES:
            raise UpstreamInvalidAnswer(
                f"Expected a stream of at most {MOST_LOG_BYTES // 2**20} MiB, got more. "
                "Ask for fewer tokens, or for the whole answer.",
                sent=True,
                may_have_been_billed=True,
            )
        self._stream.append(line)
        if self._stream.log.count == 1 and not self._stream.shown:
            self._before_first()
