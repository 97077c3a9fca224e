"""What a simulator is asked for: modes of a route, and what one call wants of its own."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Final, Literal

import msgspec

from tests.simulators._streams import Ending

Route = Literal["chat", "models"]


class Mode(enum.StrEnum):
    """How a route behaves."""

    NORMAL = "normal"
    WRONG_KEY = "wrong-key"  # 401 whatever the key
    HTML = "html"  # 200 with a web page
    ROUTE_MISSING = "route-missing"  # 404 of a path that this server does not have
    LOADING = "loading"  # 503 while the model loads
    RATE_LIMITED = "rate-limited"  # 429 with the simulator's Retry-After
    UNPAID = "unpaid"  # 402
    SERVER_ERROR = "server-error"  # 500
    ERROR_IN_200 = "error-in-200"  # 200 whose document is an error
    SILENT = "silent"  # reads the request and never answers: a black hole
    # Of streams alone; what is not streamed is answered as ever.
    STREAM_CUT = "stream-cut"  # the connection ends in the middle
    STREAM_STALL = "stream-stall"  # nothing more comes from the middle on
    STREAM_ERROR = "stream-error"  # ends in the middle with what this server says then
    NO_DONE = "no-done"  # ends without [DONE]
    NO_STREAM_OPTIONS = "no-stream-options"  # 400 to `stream_options`
    NO_STREAMS = "no-streams"  # answers whole, as if no stream had been asked for


ENDINGS: Final[Mapping[Mode, Ending]] = {
    Mode.STREAM_CUT: "cut",
    Mode.STREAM_STALL: "stall",
    Mode.STREAM_ERROR: "error",
    Mode.NO_DONE: "no-done",
}


class CallOptions(msgspec.Struct):
    """The `sim` field of a chat request: what this one call asks for."""

    latency: float | None = None  # seconds; None: the simulator's own
    status: int = 200
    retry_after: str | None = None
    drop: Literal["close", "reset"] | None = None  # end without an answer, after the latency
    html: bool = False
    good_after: int | None = None  # calls of this mark after this many are answered normally
    # Of streams; times in seconds, places in chunks, the first is 0 (see `_streams.Pace`).
    words: int | None = None  # of the counting one's answer, each a chunk; None: its own
    marked: bool = False  # the mark is the first of them
    every: float | None = None  # None: the simulator's own
    pause: float = 0.0
    pause_before: int = 1
    hold_before: int | None = None
    stamped: bool = False
    ending: Ending | None = None
    end_after: int | None = None  # chunks before the ending; None: half of them


class StreamOptions(msgspec.Struct):
    """What a request says of its stream."""

    include_usage: bool | None = None


class ChatRequest(msgspec.Struct):
    """The fields of a chat request that the simulators act on."""

    model: str = ""
    messages: list[msgspec.Raw] | None = None
    user: str = ""  # the mark: whose call this is
    sim: CallOptions | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None

    @property
    def include_usage(self) -> bool:
        """Whether the stream shall end with its usage."""
        return bool(self.stream_options and self.stream_options.include_usage)
